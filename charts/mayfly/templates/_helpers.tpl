{{- define "mayfly.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "mayfly" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mayfly" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of everything; part is "operator", "gateway", "nats" or "" */}}
{{- define "mayfly.labels" -}}
{{ include "mayfly.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mayfly
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "mayfly.selector" -}}
app.kubernetes.io/name: mayfly
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- if .part }}
app.kubernetes.io/component: {{ .part }}
{{- end }}
{{- end -}}

{{/* Of the chart's three: .image is {name, digest} */}}
{{- define "mayfly.image" -}}
{{- $image := .root.Values.image -}}
{{- if .image.digest -}}
{{ $image.registry }}/{{ .image.name }}@{{ .image.digest }}
{{- else -}}
{{ $image.registry }}/{{ .image.name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "mayfly.gatewayUrl" -}}
{{- $service := .Values.gateway.service -}}
{{- .Values.gateway.url | default (printf "http://%s-gateway.%s.svc%s" (include "mayfly.fullname" .) .Release.Namespace (eq (int $service.port) 80 | ternary "" (printf ":%d" (int $service.port)))) -}}
{{- end -}}

{{/* The Secret with the certificate of .part: given, or the operator's own work */}}
{{- define "mayfly.tlsSecret" -}}
{{- index .root.Values.tls.existingSecrets .part | default (printf "%s-%s-tls" (include "mayfly.fullname" .root) .part) -}}
{{- end -}}

{{/* "yes" if certificates are given, "" if the operator makes them */}}
{{- define "mayfly.tlsGiven" -}}
{{- $given := .Values.tls.existingSecrets -}}
{{- if and .Values.tls.enabled (or $given.operator $given.gateway $given.runtime) -}}
{{- if not (and $given.operator $given.gateway $given.runtime) }}{{ fail "tls.existingSecrets: name all three Secrets, or none" }}{{ end -}}
yes
{{- end -}}
{{- end -}}

{{/* What a pod says of itself; .values is .Values.operator or .Values.gateway */}}
{{- define "mayfly.podMetadata" -}}
labels:
  {{- include "mayfly.labels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .part }}
  {{- if .root.Values.metrics.scrapeAnnotations }}
  prometheus.io/scrape: "true"
  prometheus.io/port: "9090"
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "mayfly.podPlacement" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  {{- if or (eq .part "nats") (and (eq .part "gateway") (or .root.Values.gateway.events.enabled (eq .root.Values.gateway.usageRecords.to "folder"))) }}
  fsGroup: 65532
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "mayfly.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "mayfly.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}
