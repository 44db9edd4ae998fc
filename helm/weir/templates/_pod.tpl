{{/*
What all pods have. No service of the namespace shows in their environment: a service named weir-x would put
WEIR_X_PORT there, and the programs refuse variables that look like settings and are none.
*/}}
{{- define "weir.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where pods run: takes the values of a part. */}}
{{- define "weir.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Spread of the pods of `part`. A revision counts for itself, or a rollout would be uneven at its end. */}}
{{- define "weir.spread" -}}
{{- $of := . -}}
{{- range (index .root.Values .part).topologySpread }}
- {{ toYaml . | nindent 2 | trim }}
  labelSelector:
    matchLabels:
      {{- include "weir.selector" $of | nindent 6 }}
  matchLabelKeys: [{{ eq $of.part "processor" | ternary "controller-revision-hash" "pod-template-hash" }}]
{{- end }}
{{- end -}}

{{/* Pods and containers that Pod Security's `restricted` lets in. */}}
{{- define "weir.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "weir.restrictedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/*
The environment of `part`, which listens at `port`. Its variables are in the order in which they refer to each other.
*/}}
{{- define "weir.environment" -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: WEIR_LISTEN
  value: {{ printf "%s:%v" .root.Values.listenAddress .port | quote }}
{{- with include "weir.login" . }}
{{ . }}
{{- end }}
{{- with (index .root.Values .part).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The name that `part` logs in to Kafka with, where a Secret has it. */}}
{{- define "weir.login" -}}
{{- $sasl := .root.Values.secrets.sasl -}}
{{- $secret := include "weir.secret" (merge (dict "kind" "sasl") .) -}}
{{- if and $secret $sasl.usernameKey (ne (index .root.Values.config.kafka "sasl-mechanism") "oauthbearer") -}}
- name: WEIR_KAFKA_SASL_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ $sasl.usernameKey }}
{{- end }}
{{- end -}}

{{/* Volumes of `part` whose configuration file is in the ConfigMap `config`. */}}
{{- define "weir.volumes" -}}
- name: config
  configMap:
    name: {{ .config }}
{{- $of := . }}
{{- range $kind := list "tls" "sasl" "privacy" }}
{{- with include "weir.secret" (merge (dict "kind" $kind) $of) }}
- name: {{ $kind }}
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end -}}

{{/* Folders are mounted whole, so that a Secret that changes is seen. */}}
{{- define "weir.volumeMounts" -}}
- name: config
  mountPath: /etc/weir/config
  readOnly: true
{{- $of := . }}
{{- range $kind := list "tls" "sasl" "privacy" }}
{{- if include "weir.secret" (merge (dict "kind" $kind) $of) }}
- name: {{ $kind }}
  mountPath: /etc/weir/{{ $kind }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{/* A process that hangs is started again; one that waits for Kafka is not, as that would help nobody. */}}
{{- define "weir.probes" -}}
startupProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}
