{{- define "imd.labels" -}}
app.kubernetes.io/name: imd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
