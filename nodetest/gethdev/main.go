// Command gethdev is go-ethereum's execution client with nothing but its Engine API: of versions whose own command cannot be
// built of what the Go registry has, so that forks newer than that can be tried. It has a module of its own and is built by
// the tests only.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	gethlog "github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
)

func main() {
	log.SetFlags(0)
	gethlog.SetDefault(gethlog.NewLogger(gethlog.NewTerminalHandlerWithLevel(os.Stderr, slog.LevelInfo, false)))
	data := flag.String("datadir", "", "folder of the chain")
	genesis := flag.String("genesis", "", "genesis file")
	secret := flag.String("jwtsecret", "", "file with the JWT secret")
	port := flag.Int("port", 8551, "port of the Engine API, on 127.0.0.1")
	flag.Parse()
	if err := run(*data, *genesis, *secret, *port); err != nil {
		log.Fatal(err)
	}
}

func run(data, genesis, secret string, port int) error {
	text, err := os.ReadFile(genesis)
	if err != nil {
		return err
	}
	config := ethconfig.Defaults
	config.Genesis = &core.Genesis{}
	if err := json.Unmarshal(text, config.Genesis); err != nil {
		return err
	}
	config.NetworkId = config.Genesis.Config.ChainID.Uint64()
	config.SyncMode = ethconfig.FullSync
	stack, err := node.New(&node.Config{
		Name: "gethdev", DataDir: data, JWTSecret: secret, AuthAddr: "127.0.0.1", AuthPort: port, AuthVirtualHosts: []string{"localhost"},
		P2P: p2p.Config{NoDiscovery: true, NoDial: true},
	})
	if err != nil {
		return err
	}
	backend, err := eth.New(stack, &config)
	if err != nil {
		return err
	}
	if err := catalyst.Register(stack, backend); err != nil {
		return err
	}
	if err := stack.Start(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return stack.Close()
}
