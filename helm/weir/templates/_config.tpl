{{/*
One table of a configuration file, as TOML: takes `name` and `settings`. YAML's numbers have been through floating
point, and programs refuse 16.0 for 16; `toToml` would write that.
*/}}
{{- define "weir.table" -}}
[{{ .name }}]
{{- range $key, $value := .settings }}
{{ $key }} = {{ include "weir.value" $value }}
{{- end }}
{{- end -}}

{{/* TOML's strings are JSON's, but for some that are no settings. */}}
{{- define "weir.value" -}}
{{- if kindIs "slice" . -}}
[{{ range $index, $value := . }}{{ if $index }}, {{ end }}{{ include "weir.value" $value }}{{ end }}]
{{- else if or (kindIs "string" .) (kindIs "bool" .) -}}
{{ toRawJson . }}
{{- else -}}
{{ int64 . }}
{{- end -}}
{{- end -}}

{{/* Name of the Secret of `kind` (tls, sasl, privacy) that `part` uses: its own, or that of all. */}}
{{- define "weir.secret" -}}
{{- if or (ne .kind "privacy") (eq .part "processor") -}}
{{- index (index .root.Values .part).secrets .kind | default (index .root.Values.secrets .kind).existingSecret -}}
{{- end -}}
{{- end -}}

{{/* `[kafka]` of `part`, with the paths at which its secrets are mounted. */}}
{{- define "weir.kafka" -}}
{{- $settings := deepCopy .root.Values.config.kafka -}}
{{- $tls := .root.Values.secrets.tls -}}
{{- $sasl := .root.Values.secrets.sasl -}}
{{- if include "weir.secret" (merge (dict "kind" "tls") .) -}}
  {{- $_ := set $settings "tls" true -}}
  {{- range $key, $file := dict "tls-ca" $tls.caKey "tls-certificate" $tls.certificateKey "tls-key" $tls.keyKey "tls-key-password-file" $tls.passwordKey -}}
    {{- if $file -}}{{- $_ := set $settings $key (printf "/etc/weir/tls/%s" $file) -}}{{- end -}}
  {{- end -}}
{{- end -}}
{{- if include "weir.secret" (merge (dict "kind" "sasl") .) -}}
  {{- if eq (index $settings "sasl-mechanism") "oauthbearer" -}}
    {{- $_ := set $settings "sasl-token-file" (printf "/etc/weir/sasl/%s" $sasl.tokenKey) -}}
  {{- else -}}
    {{- $_ := set $settings "sasl-password-file" (printf "/etc/weir/sasl/%s" $sasl.passwordKey) -}}
  {{- end -}}
{{- end -}}
{{ include "weir.table" (dict "name" "kafka" "settings" $settings) }}
{{- end -}}

{{/* The configuration file of `part`: `[kafka]`, and those of `tables`. */}}
{{- define "weir.file" -}}
{{ include "weir.kafka" . }}
{{- $config := .root.Values.config }}
{{- range .tables }}

{{ include "weir.table" (dict "name" . "settings" (index $config .)) }}
{{- end }}
{{- end -}}

{{- define "weir.processorFile" -}}
{{- $privacy := deepCopy .Values.config.privacy -}}
{{- if .Values.secrets.privacy.existingSecret -}}
  {{- $_ := set $privacy "address-key-file" (printf "/etc/weir/privacy/%s" .Values.secrets.privacy.keyKey) -}}
{{- end -}}
{{ include "weir.file" (dict "root" . "part" "processor" "tables" (list "processor")) }}

{{ include "weir.table" (dict "name" "privacy" "settings" $privacy) }}
{{- end -}}

{{- define "weir.sinkFile" -}}
{{ include "weir.file" (dict "root" . "part" "sink" "tables" (list "lake" "sink")) }}
{{- end -}}

{{- define "weir.topicsFile" -}}
{{ include "weir.file" (dict "root" . "part" "topics" "tables" (list "topics")) }}
{{- end -}}

{{/* The file of an agent: takes `root`, and the profile's `config`, which counts more than that of all. */}}
{{- define "weir.agentFile" -}}
{{- $of := .config | default dict -}}
{{- $all := .root.Values.config -}}
{{- $spool := merge (dict "spool-folder" "/var/lib/weir-agent") ($of.spool | default dict) $all.spool -}}
{{ include "weir.file" (dict "root" .root "part" "agent" "tables" list) }}

{{ include "weir.table" (dict "name" "capture" "settings" (merge dict ($of.capture | default dict) $all.capture)) }}

{{ include "weir.table" (dict "name" "spool" "settings" $spool) }}
{{- end -}}
