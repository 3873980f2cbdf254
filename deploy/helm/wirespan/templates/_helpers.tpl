{{- define "wirespan.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 53 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "wirespan.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wirespan.labels" -}}
{{ include "wirespan.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "wirespan.tokenSecret" -}}
{{ .Values.view.tokenSecret | default (printf "%s-token" (include "wirespan.name" .)) }}
{{- end }}

{{- /* The agent's configuration: what has a value of its own, and whatever else is given. */ -}}
{{- define "wirespan.configuration" -}}
{{- $own := dict "output" "none" "listen" "0.0.0.0:4316" "token-file" "/etc/wirespan-token/token" "store-bytes" .Values.view.storeBytes "tls" .Values.tls "log" .Values.log }}
{{- with .Values.logs }}{{ $_ := set $own "logs" . }}{{ end }}
{{- with .Values.include }}{{ $_ := set $own "include" . }}{{ end }}
{{- with .Values.exclude }}{{ $_ := set $own "exclude" (append . (printf "namespace:%s" $.Release.Namespace) | uniq) }}{{ end }}
{{- with .Values.serviceNames }}{{ $_ := set $own "service-name" . }}{{ end }}
{{- if .Values.kubernetes.enabled }}
{{- with .Values.kubernetes.labels }}{{ $_ := set $own "kubernetes-labels" . }}{{ end }}
{{- with .Values.kubernetes.annotations }}{{ $_ := set $own "kubernetes-annotations" . }}{{ end }}
{{- if .Values.kubernetes.wellKnownLabels }}{{ $_ := set $own "kubernetes-well-known-labels" "true" }}{{ end }}
{{- if not .Values.kubernetes.peers }}{{ $_ := set $own "kubernetes-peers" "false" }}{{ end }}
{{- else }}{{ $_ := set $own "kubernetes-api" "off" }}{{ end }}
{{- toYaml (mergeOverwrite $own .Values.config) }}
{{- end }}
