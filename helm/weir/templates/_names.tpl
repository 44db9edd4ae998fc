{{- define "weir.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What the names of all objects begin with: room is left for the part, the profile, and the hash of a pod. */}}
{{- define "weir.fullname" -}}
{{- $name := include "weir.name" . -}}
{{- $both := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $both | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{/* What a selector has, which can't change: takes `root`, and `part` or nothing. */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: {{ include "weir.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .part }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of an object: takes `root`, and `part` or nothing. */}}
{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: none that a new chart changes, so that it restarts nothing that stays as it is. */}}
{{- define "weir.podLabels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/part-of: weir
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Image of `image`; `over` has another tag or digest, or neither. */}}
{{- define "weir.image" -}}
{{- $image := .image -}}
{{- with .over -}}
  {{- if or .tag .digest -}}
    {{- $image = dict "repository" $image.repository "tag" .tag "digest" .digest -}}
  {{- end -}}
{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The service account of `part`. */}}
{{- define "weir.serviceAccount" -}}
{{- $account := (index .root.Values .part).serviceAccount -}}
{{- $account.name | default ($account.create | ternary (printf "%s-%s" (include "weir.fullname" .root) .part) "default") -}}
{{- end -}}
