{{/* The profile `name` with all it does not say itself, as YAML. */}}
{{- define "weir.profile" -}}
{{- $agent := .root.Values.agent -}}
{{- $own := index $agent.profiles .name | default dict -}}
{{- $profile := mergeOverwrite (deepCopy $agent.profileDefaults) (deepCopy $own) -}}
{{/* Selectors are taken as a whole: a profile's own would otherwise never match nodes without the default's label. */}}
{{- range $key := list "nodeSelector" "affinity" "resources" -}}
  {{- if hasKey $own $key -}}{{- $_ := set $profile $key (index $own $key) -}}{{- end -}}
{{- end -}}
{{- $made := printf "/var/lib/weir-agent/%s/%s/%s" .root.Release.Namespace .root.Release.Name .name -}}
{{- $_ := set $profile "spoolHostPath" ($profile.spoolHostPath | default $made) -}}
{{ toYaml $profile }}
{{- end -}}

{{/*
What the agent's container may do. A file capability is granted only where privileges may rise; user 0 has the
capability from the start. Either way the agent gives it up once the interfaces are open.
*/}}
{{- define "weir.agentContainer" -}}
{{- $user := int .Values.agent.runAsUser -}}
runAsUser: {{ $user }}
runAsGroup: {{ $user }}
allowPrivilegeEscalation: {{ ne $user 0 }}
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
  add: [NET_RAW]
{{- end -}}
