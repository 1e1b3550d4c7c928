module sophia.ai/prometheus-discovery

go 1.19
