{{/* Name of the chart, at most 63 characters. */}}
{{- define "sophia.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Name of every object: the release's own when it says what this is. 50 characters leave room for suffixes. */}}
{{- define "sophia.fullname" -}}
{{- $name := include "sophia.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sophia.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "sophia.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Labels that never change: a Deployment's selector is immutable. */}}
{{- define "sophia.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sophia.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sophia.labels" -}}
{{ include "sophia.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: sophia
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sophia.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "sophia.pgbouncerImage" -}}
{{- with .Values.pgbouncer.image }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}

{{- define "sophia.redisImage" -}}
{{- with .Values.redis.image }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}

{{- define "sophia.subject" -}}
- kind: ServiceAccount
  name: {{ include "sophia.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
