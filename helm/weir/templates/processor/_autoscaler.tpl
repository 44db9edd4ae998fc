{{/* As many processors as have partitions: the rest would stand idle. */}}
{{- define "weir.mostProcessors" -}}
{{- $partitions := .Values.config.topics.partitions | default 16 | int -}}
{{- $workers := .Values.config.processor.workers | default 1 | int -}}
{{- div (add $partitions $workers -1) $workers -}}
{{- end -}}

{{- define "weir.maxProcessors" -}}
{{- .Values.processor.autoscaling.maxReplicas | default (include "weir.mostProcessors" .) | int -}}
{{- end -}}

{{/* Each that goes hands its partitions to others, which read their state first: not for every lull. */}}
{{- define "weir.shrinkSlowly" -}}
scaleDown:
  stabilizationWindowSeconds: {{ .scaleDownAfterSeconds }}
  policies:
    - type: Pods
      value: 1
      periodSeconds: {{ .scaleDownEverySeconds }}
{{- end -}}

{{/* What KEDA logs in to Kafka with: what processors do. */}}
{{- define "weir.kedaSecrets" -}}
{{- $part := dict "root" . "part" "processor" -}}
{{- $tls := .Values.secrets.tls -}}
{{- $sasl := .Values.secrets.sasl -}}
{{- with include "weir.secret" (merge (dict "kind" "tls") $part) -}}
{{- $secret := . -}}
{{- range $parameter, $key := dict "ca" $tls.caKey "cert" $tls.certificateKey "key" $tls.keyKey "keyPassword" $tls.passwordKey }}
{{- if $key }}
- parameter: {{ $parameter }}
  name: {{ $secret }}
  key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}
{{- with include "weir.secret" (merge (dict "kind" "sasl") $part) }}
- parameter: username
  name: {{ . }}
  key: {{ $sasl.usernameKey }}
- parameter: password
  name: {{ . }}
  key: {{ $sasl.passwordKey }}
{{- end }}
{{- end -}}
