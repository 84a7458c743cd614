package otlp

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the compression that SDKs have
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"apmapp/internal/local/origin"
)

// maxStreamsPerClient bounds the requests of one connection that are read at once. An
// SDK sends one at a time for each signal.
const maxStreamsPerClient = 16

// grpc returns a server with the Export method of each signal. Its codec leaves
// messages as they are, so that requests of gRPC and of HTTP take the same way.
func (d door) grpc(hosts []string) *grpc.Server {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(bytesCodec{}),
		grpc.MaxRecvMsgSize(MaxBody),
		grpc.MaxConcurrentStreams(maxStreamsPerClient),
		grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
			d.sink.Refused("", "path not served", 1)
			return status.Error(codes.Unimplemented, "only traces, logs and metrics are served")
		}),
	)
	for _, s := range signals {
		server.RegisterService(&grpc.ServiceDesc{
			ServiceName: s.service,
			HandlerType: (*any)(nil),
			Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: d.export(s, hosts)}},
		}, nil)
	}
	return server
}

func (d door) export(s signal, hosts []string) grpc.MethodHandler {
	return func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if why := foreign(ctx, hosts); why != "" {
			d.sink.Refused(s.name, ofWebSite, 1)
			return nil, status.Error(codes.PermissionDenied, why)
		}
		var body []byte
		if err := read(&body); err != nil { // gRPC has answered
			reason := unreadable
			if status.Code(err) == codes.ResourceExhausted {
				reason = tooLarge().reason
			}
			d.sink.Refused(s.name, reason, 1)
			return nil, err
		}
		answer, err := d.open(ctx, s, protobuf, body)
		if failed := new(failure); errors.As(err, &failed) {
			return nil, status.FromProto(statusOf(failed.code, failed.message)).Err()
		}
		return answer, err
	}
}

// foreign returns why a call is of a web site, or "". It asks the check of the HTTP
// ports. No browser can send such a call today.
func foreign(ctx context.Context, hosts []string) string {
	md, _ := metadata.FromIncomingContext(ctx)
	req := &http.Request{Header: http.Header{"Origin": md.Get("origin"), "Sec-Fetch-Site": md.Get("sec-fetch-site")}}
	if authority := md.Get(":authority"); len(authority) > 0 {
		req.Host = authority[0]
	}
	answer := &reason{}
	origin.Intake(hosts, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, req)
	return answer.text
}

// reason is a ResponseWriter that keeps the body.
type reason struct{ text string }

func (*reason) Header() http.Header { return http.Header{} }
func (*reason) WriteHeader(int)     {}
func (r *reason) Write(p []byte) (int, error) {
	r.text += string(p)
	return len(p), nil
}

// bytesCodec leaves messages encoded: *[]byte when it reads, []byte when it writes.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
