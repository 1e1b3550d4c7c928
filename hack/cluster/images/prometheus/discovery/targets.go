package main

import (
	"net"
	"regexp"
	"sort"
	"strconv"
)

// pod holds the fields that become labels.
type pod struct {
	Metadata struct {
		UID         string            `json:"uid"`
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		NodeName   string `json:"nodeName"`
		Containers []struct {
			Name  string `json:"name"`
			Ports []struct {
				Name          string `json:"name"`
				ContainerPort int    `json:"containerPort"`
				Protocol      string `json:"protocol"`
			} `json:"ports"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

// targetGroup is what file_sd_configs reads.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

const meta = "__meta_kubernetes_"

// targetGroups gives one target for each TCP port of each running pod, in a stable order.
func targetGroups(pods map[string]pod) []targetGroup {
	groups := []targetGroup{} // not nil: the file must hold a list
	for _, p := range pods {
		if p.Status.PodIP == "" || p.Status.Phase != "Running" {
			continue
		}
		for _, container := range p.Spec.Containers {
			for _, port := range container.Ports {
				if port.Protocol != "" && port.Protocol != "TCP" {
					continue
				}
				labels := podLabels(p)
				labels[meta+"pod_container_name"] = container.Name
				labels[meta+"pod_container_port_name"] = port.Name
				labels[meta+"pod_container_port_number"] = strconv.Itoa(port.ContainerPort)
				address := net.JoinHostPort(p.Status.PodIP, strconv.Itoa(port.ContainerPort))
				groups = append(groups, targetGroup{[]string{address}, labels})
			}
		}
	}
	sort.Slice(groups, func(i, j int) bool { return groups[i].Targets[0] < groups[j].Targets[0] })
	return groups
}

func podLabels(p pod) map[string]string {
	labels := map[string]string{
		meta + "namespace":     p.Metadata.Namespace,
		meta + "pod_name":      p.Metadata.Name,
		meta + "pod_uid":       p.Metadata.UID,
		meta + "pod_ip":        p.Status.PodIP,
		meta + "pod_phase":     p.Status.Phase,
		meta + "pod_node_name": p.Spec.NodeName,
	}
	for name, value := range p.Metadata.Labels {
		labels[meta+"pod_label_"+labelName(name)] = value
	}
	for name, value := range p.Metadata.Annotations {
		if len(value) <= 256 { // the long ones are for machines, such as kubectl's last-applied
			labels[meta+"pod_annotation_"+labelName(name)] = value
		}
	}
	return labels
}

var notInLabelNames = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func labelName(name string) string { return notInLabelNames.ReplaceAllString(name, "_") }
