# The two commands: make demo, make test.
GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
TOOLS    := $(CURDIR)/.tools
export CGO_ENABLED = 0

.PHONY: build demo test lint bench bench-original fuzz clean

build: ## the program, in bin/
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/blockprint ./cmd/blockprint

demo: build ## everything on a simulated network, live
	bin/blockprint demo $(ARGS)

# A busy machine may be twenty times slower than an idle one, and then the tests take that much longer.
TIMEOUT ?= 80m
test: lint ## all tests, real nodes included; installs what they need
	$(GO) build ./...
	CGO_ENABLED=1 $(GO) test -race -short -timeout $(TIMEOUT) ./...
	$(GO) test -timeout $(TIMEOUT) ./...

lint: $(TOOLS)/golangci-lint ## golangci-lint with gofumpt
	$(TOOLS)/golangci-lint run

$(TOOLS)/golangci-lint: tools/go.mod
	cd tools && GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bench: ## benchmarks, with the ratios to what they replace
	$(GO) test -run '^$$' -bench . -benchmem ./...

ORIGINAL ?=
PYTHON   ?= /usr/bin/python3
bench-original: ## the original beside ours: ORIGINAL=<checkout of sigp/blockprint>; needs python3-sklearn, python3-scipy
	@test -f '$(ORIGINAL)/feature_selection.py' || { echo 'bench-original: ORIGINAL=<checkout of sigp/blockprint> is missing, or holds no feature_selection.py' >&2; exit 2; }
	@$(PYTHON) -c 'import sklearn, scipy' || { echo 'bench-original: $(PYTHON) lacks sklearn or scipy (Debian: python3-sklearn python3-scipy)' >&2; exit 2; }
	@dir=$$(mktemp -d) && trap 'rm -rf $$dir' EXIT && \
		$(PYTHON) -c 'import gzip, json, sys; c = json.load(gzip.open("testdata/golden/mainnet-phase0.json.gz")); [open(f"{sys.argv[1]}/{i:04d}.json", "w").write(json.dumps(c[i % len(c)]["block_reward"], separators=(",", ":"))) for i in range(3000)]' $$dir && \
		figures=$$($(PYTHON) tools/bench_original.py '$(ORIGINAL)' $$dir) && echo "$$figures" && \
		env $$figures $(GO) test -run '^$$' -bench '^Benchmark(Prepare|Query)$$' ./dataset ./classify/knn

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		$(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

clean:
	rm -rf bin .tools .nodes
