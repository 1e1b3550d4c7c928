{{/* What the operator may do in each namespace that it works in. Each rule says what it is for. */}}
{{- define "sophia.namespaceRules" -}}
# It watches services; patch is for the finalizer, which lets it clean up in order when a service is deleted. It never
# writes their spec.
- apiGroups: [sophia.ai]
  resources: [managedservices]
  verbs: [get, list, watch, patch]
# It makes a Release of each change and deletes those beyond historyLimit. Not patch: the intent is for people.
- apiGroups: [sophia.ai]
  resources: [releases]
  verbs: [get, list, watch, create, delete]
# It writes what it saw and decided, by server-side apply.
- apiGroups: [sophia.ai]
  resources: [managedservices/status, releases/status]
  verbs: [patch]
# Owner references that block deletion; a cluster with the admission plugin OwnerReferencesPermissionEnforcement asks
# for this right.
- apiGroups: [sophia.ai]
  resources: [managedservices/finalizers, releases/finalizers]
  verbs: [update]
# It runs each release as a Deployment. (Server-side apply needs create and patch.)
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# It makes the Services of the two colours.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# It owns the HTTPRoute that carries the weights, and looks for others that claim the same host name.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Traffic goes only to a release that is ready in its EndpointSlices.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
# Pods say why a release does not become ready: a crash loop, an image that cannot be pulled.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Configuration moves with the release: it reads what spec.config names, and makes and deletes immutable copies. It also
# reads the Secret with the credentials for a service's Prometheus. Set watchNamespaces to bound this.
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
