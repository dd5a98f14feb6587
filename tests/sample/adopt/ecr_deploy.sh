#!/usr/bin/env bash
# ecr_deploy.sh — builds and pushes per environment
set -euo pipefail
env="$1" # dev | beta | sandbox | prod
case "$env" in
dev) repo="api-dev" ;;
beta) repo="api-beta" ;;
sandbox) repo="api-sandbox" ;;
prod) repo="api" ;;
*) echo "unknown env: $env"; exit 2 ;;
esac
# Validate required env-specific secrets are set
for v in DB_HOST OPENAI_API_KEY OTEL_EXPORTER_OTLP_ENDPOINT; do
k="${env^^}_$v" # e.g. DEV_DB_HOST
: "${!k:?missing required secret: $k}"
done
# Authenticate with ECR
aws ecr get-login-password --region ap-south-1 \
| docker login --username AWS --password-stdin \
"$AWS_ACCOUNT.dkr.ecr.ap-south-1.amazonaws.com"
docker build \
--platform linux/amd64 \
--build-arg "DB_HOST=${!env^^}_DB_HOST" \
-t "$repo:latest" .
docker tag "$repo:latest" "$AWS_ACCOUNT.dkr.ecr.ap-south-1.amazonaws.com/$repo:latest"
docker push "$AWS_ACCOUNT.dkr.ecr.ap-south-1.amazonaws.com/$repo:latest"
