module sophia.ai/demo-app

go 1.19
