package app

import (
	"context"
	"errors"
	"net"
	"net/http"

	"blockprint"
	"blockprint/httpapi"
)

// server is a handler that is served on some addresses.
type server struct {
	handler   http.Handler
	stopping  func() // makes it say that it stops
	listeners []net.Listener
}

// listen opens addresses, all or none. A server that is not run must be closed.
func listen(ctx context.Context, h http.Handler, stopping func(), addresses ...string) (*server, error) {
	s := &server{handler: h, stopping: stopping}
	var c net.ListenConfig
	for _, a := range addresses {
		l, err := c.Listen(ctx, "tcp", a)
		if err != nil {
			return nil, errors.Join(blockprint.Errorf(blockprint.Invalid, "--listen %s: %w", a, err), s.close())
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

func (s *server) close() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// run serves until ctx ends or one of the addresses fails.
func (s *server) run(ctx context.Context, p Process) error {
	var tasks []func(context.Context) error
	for _, l := range s.listeners {
		p.started(l.Addr().String())
		tasks = append(tasks, func(ctx context.Context) error { return httpapi.Serve(ctx, l, s.handler, s.stopping) })
	}
	return together(ctx, tasks...)
}
