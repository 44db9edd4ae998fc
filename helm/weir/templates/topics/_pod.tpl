{{/* A pod that runs `weir topics COMMAND` and ends. */}}
{{- define "weir.topicsPod" -}}
metadata:
  labels:
    {{- include "weir.podLabels" . | nindent 4 }}
spec:
  {{- include "weir.pod" .root | nindent 2 }}
  restartPolicy: Never
  securityContext:
    {{- include "weir.restrictedPod" . | nindent 4 }}
  containers:
    - name: topics
      image: {{ include "weir.image" (dict "root" .root "image" .root.Values.images.weir) }}
      imagePullPolicy: {{ .root.Values.images.pullPolicy }}
      args: [topics, {{ .command }}, --config, /etc/weir/config/topics.toml]
      {{- with include "weir.login" . }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "weir.restrictedContainer" . | nindent 8 }}
      resources:
        {{- toYaml .root.Values.topics.resources | nindent 8 }}
      volumeMounts:
        {{- include "weir.volumeMounts" . | nindent 8 }}
  volumes:
    {{- include "weir.volumes" . | nindent 4 }}
{{- end -}}
