package app

import (
	"context"
	"errors"
	"net"

	"blockprint/service"
)

// server is a service with its addresses.
type server struct {
	service   *service.Service
	listeners []net.Listener
}

// listen opens addresses, all or none. A server that is not run must be closed.
func listen(ctx context.Context, s *service.Service, addresses ...string) (*server, error) {
	listeners, err := service.Listen(ctx, addresses...)
	return &server{s, listeners}, err
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
	for _, l := range s.listeners {
		p.started(l.Addr().String())
	}
	return s.service.Serve(ctx, s.listeners...)
}

// serve serves on an address, beside tasks, until ctx ends or one of them fails.
func (p Process) serve(ctx context.Context, s *service.Service, addresses []string, tasks ...func(context.Context) error) error {
	open, err := listen(ctx, s, addresses...)
	if err != nil {
		return err
	}
	return together(ctx, append(tasks, func(ctx context.Context) error { return open.run(ctx, p) })...)
}
