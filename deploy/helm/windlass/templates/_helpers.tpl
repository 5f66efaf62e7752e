{{/* The name of the release's objects. */}}
{{- define "windlass.name" -}}
{{- if contains "windlass" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-windlass" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that pick pods of one part: list of the root and the part. */}}
{{- define "windlass.selector" -}}
app.kubernetes.io/name: windlass
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of one part. */}}
{{- define "windlass.labels" -}}
{{ include "windlass.selector" . }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/version: {{ (index . 0).Values.image.tag | quote }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end -}}

{{- define "windlass.secret" -}}
{{- .Values.existingSecret | default (printf "%s-secrets" (include "windlass.name" .)) -}}
{{- end -}}

{{/* Neither root nor a capability; for a user id. */}}
{{- define "windlass.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "windlass.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Over machines and zones, where there are several. */}}
{{- define "windlass.spread" -}}
{{- $root := . }}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "windlass.selector" $root | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Where settings of a process come from. */}}
{{- define "windlass.envFrom" -}}
- configMapRef: {name: {{ include "windlass.name" . }}-settings}
{{- range .Values.extraSecrets }}
- secretRef: {name: {{ . }}}
{{- end }}
{{- end -}}

{{- define "windlass.secretVolume" -}}
- name: secrets
  secret:
    secretName: {{ include "windlass.secret" . }}
    defaultMode: 0440
    items:
      - {key: redis-url, path: redis-url}
      - {key: admin-key, path: admin-key}
      - {key: credentials-key, path: credentials-key}
{{- end -}}

{{/* What changes restart: the pods carry its hash. */}}
{{- define "windlass.checksum" -}}
checksum/settings: {{ include (print $.Template.BasePath "/settings.yaml") . | sha256sum }}
{{- end -}}
