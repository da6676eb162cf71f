package service

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"blockprint"
)

const (
	// writeTime is how long a client may take to accept one piece of an answer.
	writeTime = 30 * time.Second
	// finishTime is how long requests may go on after the service was stopped.
	finishTime = 8 * time.Second
)

// Listen opens TCP addresses (host:port), all or none.
func Listen(ctx context.Context, addresses ...string) ([]net.Listener, error) {
	var list []net.Listener
	for _, a := range addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a)
		if err != nil {
			for _, l := range list {
				_ = l.Close() // nobody has used it
			}
			return nil, blockprint.Errorf(blockprint.Invalid, "--listen %s: %w", a, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// Serve serves on all listeners until ctx ends or one of them fails. /readyz fails while the last requests finish.
func (s *Service) Serve(ctx context.Context, listeners ...net.Listener) error {
	return serve(ctx, s, func() { s.stopping.Store(true) }, listeners)
}

// Serve serves a handler that is not a Service until ctx ends or a listener fails.
func Serve(ctx context.Context, h http.Handler, listeners ...net.Listener) error {
	return serve(ctx, h, func() {}, listeners)
}

// serve lets requests finish for a while after ctx ends. Clients that do not read are cut off after writeTime, however
// long the whole answer takes.
func serve(ctx context.Context, h http.Handler, stopping func(), listeners []net.Listener) error {
	srv := &http.Server{Handler: cutOff(h, writeTime), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute}
	g, failed := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	<-failed.Done()
	stopping()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()
	if srv.Shutdown(limit) != nil { // some requests are not finished
		_ = srv.Close() // the listeners are closed already
	}
	return g.Wait()
}

// cutOff gives each write of a handler a deadline.
func cutOff(h http.Handler, after time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &punctual{w, http.NewResponseController(w), after}
		p.extend()
		h.ServeHTTP(p, r)
	})
}

// punctual is a ResponseWriter whose writes have deadlines.
type punctual struct {
	http.ResponseWriter
	conn  *http.ResponseController
	after time.Duration
}

func (p *punctual) extend() { _ = p.conn.SetWriteDeadline(time.Now().Add(p.after)) } // a writer without a connection has none

func (p *punctual) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

// Flush implements http.Flusher, for streams of events.
func (p *punctual) Flush() {
	p.extend()
	_ = p.conn.Flush() // the client is gone
}

// Unwrap lets http.ResponseController reach the connection.
func (p *punctual) Unwrap() http.ResponseWriter { return p.ResponseWriter }
