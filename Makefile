# The commands of this repository; `make` lists them.

SHELL := bash
# The make of macOS, 3.81, ignores these flags: loops and pipes check for failures
# themselves.
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS  := -X apmapp/internal/build.version=$(VERSION) -X apmapp/internal/build.revision=$(REVISION)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## everything at once, without an account: database, service, traffic, local agent
	@echo 'building the demo; the first time takes some minutes' >&2
	@go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/demo
	@exec bin/demo $(ARGS)

.PHONY: faults
faults: needs ## cause each fault in a demo of its own, on both databases; fails if one is not seen (12 minutes)
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/demo
	scripts/faults $(ARGS)

# These modules compile only on Linux: elsewhere they are skipped.
SKIPPED := $(if $(filter Linux,$(shell uname -s)),,loadgen/bench deploy/verify/vm)
# All modules except the root and tools/release (see goreleaser and test-tools). They
# import the root or need heavy dependencies.
MODULES := $(filter-out $(SKIPPED),e2e internal/memdb/regexp loadgen/bench tools deploy/verify/agent deploy/verify/otel deploy/verify/vm deploy/verify/containers)

# These modules have no concurrency of their own, so they need no race detector. With the
# flags of a release they share packages with the programs that their tests build.
RELEASED := CGO_ENABLED=0 GOFLAGS='-trimpath -ldflags=-w -vet=off'
unraced = case $(1) in deploy/*|tools*) export $(RELEASED);; esac

.PHONY: test
test: test-root test-e2e test-agent test-otel test-vm test-containers ## all tests, on a real MySQL server and in a real browser

.PHONY: test-root
test-root: needs
	go test -timeout 20m ./...

.PHONY: test-e2e
test-e2e: needs
	cd e2e && go test -count=1 -timeout 20m ./...

# These tests, and those of e2e, read files outside of their modules. Go does not see when
# such a file changes, so it must not reuse a result.
.PHONY: test-agent test-otel test-vm test-containers
test-agent test-otel test-vm test-containers: test-%: needs
	$(if $(filter deploy/verify/$*,$(MODULES)),$(call unraced,deploy/verify); cd deploy/verify/$* && go test -count=1 -timeout 15m ./...,@echo 'test-$* is skipped: deploy/verify/$* compiles only on Linux')

.PHONY: needs
needs:
	scripts/need 'mysqld|mariadbd=mariadb-server-core,mariadb-client-core' \
		'chromium|chromium-browser|google-chrome=chromium' \
		'python3=python3' 'mmdebstrap=mmdebstrap' 'nsenter=util-linux' 'vagrant=vagrant' \
		'buildah=buildah' 'podman=podman' 'runc=runc' 'busybox=busybox-static,ca-certificates' \
		'node=nodejs' 'npm=npm' \
		'shellcheck=shellcheck' 'curl=curl,ca-certificates'

.PHONY: check
check: lint test ## lint and test: what a change has to pass

.PHONY: lint
lint: vet staticcheck prose shellcheck actionlint goreleaser dependabot test-tools bin/licenses-checked vulnerabilities ## formatting, vet, linters, plain English, licenses, vulnerabilities

.PHONY: vet
vet:
	@unformatted=$$(gofmt -l .); [[ ! $$unformatted ]] || { echo "gofmt -w $$unformatted"; exit 1; }
	@$(if $(SKIPPED),echo 'vet and staticcheck skip $(SKIPPED): they compile only on Linux')
	for module in . $(MODULES); do ($(call unraced,$$module); cd $$module && go vet ./...) || exit; done

# After vet, which builds what staticcheck reads.
.PHONY: staticcheck
staticcheck: bin/staticcheck vet
	for module in . $(MODULES); do ($(call unraced,$$module); cd $$module && $(CURDIR)/bin/staticcheck ./...) || exit; done

.PHONY: prose
prose: bin/prose
	bin/prose

.PHONY: shellcheck
shellcheck: needs
	git ls-files -z ':!*.md' | xargs -0 grep -l --null -m1 -E '^#!.*[/ ](ba)?sh( |$$)' | xargs -0 shellcheck

.PHONY: actionlint
actionlint: bin/actionlint
	bin/actionlint

.PHONY: goreleaser
goreleaser:
	$(call unraced,tools); cd tools/release && go run . ../..

.PHONY: dependabot
dependabot:
	@for folder in $$(git ls-files '*go.mod' | xargs dirname); do \
		grep -qx "      - /$${folder#.}" .github/dependabot.yml || { echo ".github/dependabot.yml lacks /$$folder"; exit 1; }; done

# The tests of the checks.
.PHONY: test-tools
test-tools: bin/staticcheck
	$(call unraced,tools); cd tools && go test ./...
	$(call unraced,tools); cd tools/release && go vet ./... && $(CURDIR)/bin/staticcheck ./... && go test ./...

.PHONY: vulnerabilities
vulnerabilities: needs
	@if curl -fsSo /dev/null -m 10 https://vuln.go.dev/index/db.json 2>/dev/null; \
	then $(MAKE) bin/govulncheck && bin/govulncheck ./...; \
	else echo 'govulncheck is skipped: its database (vuln.go.dev) cannot be reached'; fi

# A pattern rule makes all its targets at once, in every version of make.
TOOLS := actionlint go-licenses prose staticcheck
.PHONY: tools
tools: $(addprefix bin/,$(TOOLS))
$(addprefix %/,$(TOOLS)): tools/go.mod tools/go.sum $(wildcard tools/prose/*)
	$(call unraced,tools); cd tools && go build -o ../bin/ $$(go list tool | grep -v govulncheck)
bin/govulncheck: tools/go.mod tools/go.sum
	$(call unraced,tools); cd tools && go build -o ../bin/ golang.org/x/vuln/cmd/govulncheck

# Licenses whose code may be part of a program under Apache-2.0.
LICENSES := Apache-2.0,BSD-2-Clause,BSD-3-Clause,ISC,MIT,MPL-2.0
SYSTEMS := linux darwin windows
# Which modules are linked depends on the system. internal/memdb/regexp has the name of the
# module that it replaces. The flags at the end keep out a warning for each assembly file.
go-licenses = GOFLAGS= GOOS=$(1) bin/go-licenses $(2) ./cmd/... ./loadgen --ignore github.com/dolthub/go-icu-regex \
	--logtostderr=false --log_file=/dev/null --stderrthreshold=ERROR

bin/licenses-checked: bin/go-licenses go.mod go.sum Makefile
	$(foreach os,$(SYSTEMS),$(call go-licenses,$(os),check --allowed_licenses=$(LICENSES)) &&) touch $@

.PHONY: licenses
licenses: bin/go-licenses ## licenses and notices of all linked modules, in bin/licenses
	$(foreach os,$(SYSTEMS),$(call go-licenses,$(os),save --force --save_path=bin/licenses/$(os)) &&) true

GORELEASER := github.com/goreleaser/goreleaser/v2

# One build at a time: each uses all cores, and compiling Datadog's API client takes 1.4 GB.
.PHONY: release
release: ## archives of the tag and their checksums, published; ARGS=--snapshot tries it
	go run $(GORELEASER)@$$(cd tools/release && go list -m -f '{{.Version}}' $(GORELEASER)) release --clean --parallelism 1 $(ARGS)

.PHONY: build
build: ## the service and loadgen, in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w $(LDFLAGS)' -o bin/ ./cmd/apmapp ./loadgen

# Credentials in the remote's URL would be in the image for all to read.
.PHONY: image
image: ## the service's image, by docker (with SBOM and provenance where it can), podman or buildah
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || echo 0) scripts/image -t apmapp:$(VERSION) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) \
		--build-arg SOURCE="$$(git remote get-url origin 2>/dev/null | sed 's#//[^/@]*@#//#')" .

.PHONY: base-images
base-images: ## raise the digests of the Dockerfile's base images; needs skopeo or docker buildx
	scripts/base-images Dockerfile

.PHONY: bench
bench: ## what a request costs, and tracing's share of it
	set -o pipefail; go test -run '^$$' -bench . -benchmem ./handlers | tee /dev/stderr | awk '\
		/tracing=off/ { off[$$1] = $$3 } \
		/tracing=on/  { name = $$1; sub("tracing=on", "tracing=off", name); \
			printf "%s: %.2f times the time of tracing=off\n", $$1, $$3 / off[name] }'

.PHONY: bench-store
bench-store: ## the reads on 1,000, 100,000 and 1,000,000 visits; fails if a large table costs over 1.1 times as much (1 minute)
	scripts/need 'mysqld|mariadbd=mariadb-server-core,mariadb-client-core'
	set -o pipefail; go test -run '^$$' -bench Reads -benchtime 5000x ./store | tee /dev/stderr | awk '\
		{ for (i = 2; i <= NF; i++) if ($$i ~ /^times\//) { n++; printf "%s %s: %.2f\n", $$1, $$i, $$(i-1); if ($$(i-1) > 1.1) slow = 1 } } \
		END { exit slow || !n }'

.PHONY: bench-overload
bench-overload: ## the service under five times the load it can serve, and what a refusal costs (2 minutes)
	scripts/need 'mysqld|mariadbd=mariadb-server-core,mariadb-client-core'
	go test -run '^$$' -bench Refusal -benchtime 20x ./handlers
	go test -run '^$$' -bench Overload -benchtime 1x -timeout 10m ./cmd/apmapp

.PHONY: bench-demo
bench-demo: ## the demo after an hour beside its second minute (2 h 20 min); ARGS='-runs 200/2m -window 20s' is short
	scripts/need 'mysqld|mariadbd=mariadb-server-core,mariadb-client-core'
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/demo
	go build -o bin/bench-demo ./cmd/demo/bench
	bin/bench-demo $(ARGS)

.PHONY: bench-localagent
bench-localagent: ## the local agent: spans a second, memory, search, a large trace (2 minutes)
	go test -run '^$$' -bench 'Spans|LargeTrace' -benchtime 1x ./cmd/localagent
	go test -run '^$$' -bench Search ./internal/local/store

.PHONY: bench-pages
bench-pages: ## the first paint of each page of the local agent at 50,000 traces (2 minutes)
	scripts/need 'chromium|chromium-browser|google-chrome=chromium'
	cd e2e && go test -run '^$$' -bench FirstPaint -benchtime 1x .

.PHONY: bench-loadgen
bench-loadgen: ## loadgen beside its peers: exactness, cost, honesty (40 minutes)
	scripts/need 'wrk=wrk'
	CGO_ENABLED=0 go build -trimpath -o bin/ ./loadgen
	cd loadgen/bench && go build -o ../../bin/ tool && go build -o ../../bin/bench .
	cd loadgen/bench && ../../bin/bench -bin ../../bin $(ARGS)
