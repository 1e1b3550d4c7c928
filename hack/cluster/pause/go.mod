module sophia.ai/hack/cluster/pause

go 1.26.0
