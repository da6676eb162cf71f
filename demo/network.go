package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"blockprint/dream"
	"blockprint/service"
	"blockprint/sim"
)

// Network is a simulated network that is served: the Beacon API of one node, and one node of each variant that builds blocks
// for whoever asks.
type Network struct {
	URL   string // of the node that follows the chain
	Nodes []dream.NodeConfig

	world *sim.World
	group errgroup.Group
	stop  context.CancelFunc
	ctx   context.Context
}

// Advance runs slots of a world as fast as possible.
func Advance(ctx context.Context, w *sim.World, slots int, log *slog.Logger) error {
	for n := range slots {
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.Step(); n%320 == 319 {
			log.Info("simulating history", "slot", n+1)
		}
	}
	return nil
}

// Serve serves a world on an address, and, if dreaming, its nodes on free ports, until Close.
func Serve(ctx context.Context, w *sim.World, address string, dreaming bool) (_ *Network, err error) {
	n := &Network{world: w}
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.URL, err = n.serve(address, w.Handler()); err != nil || !dreaming {
		return n, err
	}
	seen := map[string]bool{}
	for i, node := range w.Nodes() {
		if seen[node.Variant] {
			continue
		}
		seen[node.Variant] = true
		url, err := n.serve("127.0.0.1:0", w.NodeHandler(i))
		if err != nil {
			return nil, err
		}
		name := strings.ReplaceAll(node.Variant, "/", "-")
		n.Nodes = append(n.Nodes, dream.NodeConfig{Name: name, Label: string(node.Client), URL: url, SkipRandao: true, V3: true})
	}
	return n, nil
}

func (n *Network) serve(address string, h http.Handler) (url string, err error) {
	listeners, err := service.Listen(n.ctx, address)
	if err != nil {
		return "", err
	}
	n.group.Go(func() error { return service.Serve(n.ctx, h, listeners...) })
	return "http://" + listeners[0].Addr().String(), nil
}

// Close ends what Serve began, and returns what went wrong with it.
func (n *Network) Close() error {
	n.stop()
	return n.group.Wait()
}

// Live runs each slot at its time until ctx ends.
func (n *Network) Live(ctx context.Context) {
	for {
		next := time.NewTimer(time.Until(n.world.Network().TimeOf(n.world.Now() + 1)))
		select {
		case <-ctx.Done():
			next.Stop()
			return
		case <-next.C:
		}
		if s := n.world.Step(); s.Block.IsZero() {
			slog.Info("slot", "slot", s.Slot, "block", "skipped")
		} else {
			slog.Info("slot", "slot", s.Slot, "block", s.Block.Short(), "built_by", s.Client)
		}
	}
}

// DreamConfig is the text of a configuration of `blockprint dream` that asks the nodes.
func (n *Network) DreamConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "network = %q\ncanonical_bn = %q\n", n.world.Network().ConfigName, n.URL)
	for _, node := range n.Nodes {
		fmt.Fprintf(&b, "\n[[nodes]]\nname = %q\nlabel = %q\nurl = %q\nskip_randao_verification = true\nv3 = true\n", node.Name, node.Label, node.URL)
	}
	return b.String()
}
