{{/* What the operator may do in each namespace that it works in. Each rule says what it is for. */}}
{{- define "sophia.namespaceRules" -}}
# It watches services, pools, cache tiers, model routes and recovery policies; patch is for the finalizer, which lets it
# clean up in order when one is deleted. It never writes their spec.
- apiGroups: [sophia.ai]
  resources: [managedservices, connectionpools, cachetiers, modelroutes, recoverypolicies]
  verbs: [get, list, watch, patch]
# It makes a Release of each change and deletes those beyond historyLimit. Not patch: the intent is for people.
- apiGroups: [sophia.ai]
  resources: [releases]
  verbs: [get, list, watch, create, delete]
# It makes a RecoveryAction of each act that a policy asks for, and deletes those that are over and old; patch is for the
# finalizer. operate tells it from everybody else at admission: an action's trigger is set by whoever has it.
- apiGroups: [sophia.ai]
  resources: [recoveryactions]
  verbs: [get, list, watch, create, patch, delete, operate]
# It writes what it saw and decided, by server-side apply.
- apiGroups: [sophia.ai]
  resources:
  - managedservices/status
  - releases/status
  - connectionpools/status
  - cachetiers/status
  - modelroutes/status
  - recoverypolicies/status
  - recoveryactions/status
  verbs: [patch]
# Owner references that block deletion; a cluster with the admission plugin OwnerReferencesPermissionEnforcement asks
# for this right.
- apiGroups: [sophia.ai]
  resources:
  - managedservices/finalizers
  - releases/finalizers
  - connectionpools/finalizers
  - cachetiers/finalizers
  - modelroutes/finalizers
  verbs: [update]
# It runs each release as a Deployment, and the instances of a pool. (Server-side apply needs create and patch.)
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# It runs the nodes of a cache tier as a StatefulSet. Not delete: that goes with its tier.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
# It makes the Services of the two colours, those that clients of a pool or a tier connect to, and that of a gateway for
# models.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# It owns the HTTPRoutes that carry weights, and looks for others that claim the same host name.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Traffic goes only to a release that is ready in its EndpointSlices.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# Pods say why a release does not become ready: a crash loop, an image that cannot be pulled. patch is for the annotation
# that makes the kubelet bring a new configuration to pods at once (to those of a gateway for models too), and for the
# label that says which node of a tier is the primary. delete is for nodes of a tier that are to be made anew, one at a
# time, the primary last: a StatefulSet that does it by itself does not know which one is. And it is for a pod of a
# service, pool or tier that crashes again and again, where a RecoveryAction says RestartPod. RBAC cannot bound it to
# them; the operator deletes no other pod.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
# Whoever drains nodes leaves instances of a pool, and nodes of a tier, to their clients.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch]
# Configuration moves with the release: it reads what spec.config names, and makes and deletes immutable copies. It also
# reads the Secrets with the credentials for a service's Prometheus, for a pool's server, for an adopted Redis and for
# the APIs of models, and makes those that a pool or a tier is configured by and that applications connect with, and the
# ConfigMap that a gateway for models reads. Set watchNamespaces to bound this.
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, list, watch, create, patch, delete]
# Events tell people about each transition; patch counts one that repeats.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* What it reads cluster-wide, wherever it works. Nothing in here is secret. */}}
{{- define "sophia.clusterRules" -}}
# Gateways are often in another namespace than the services behind them: it checks that they exist, and reads their
# addresses and listeners.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways, gatewayclasses]
  verbs: [get, list, watch]
# The framework notices kinds that are installed later, and namespaces that come and go.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
{{- end }}
