// Which traces the Collector's own tail_sampling keeps: `collector BLOCK.yaml TRACES.bin`, where the second is a sequence of
// OTLP messages, each after its length (4 bytes, little-endian). Prints the ids of those kept, one a line.
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"gopkg.in/yaml.v3"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/tailsamplingprocessor"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	var block map[string]any
	check(yaml.Unmarshal(text, &block))
	factory := tailsamplingprocessor.NewFactory()
	config := factory.CreateDefaultConfig()
	check(confmap.NewFromStringMap(block["tail_sampling"].(map[string]any)).Unmarshal(config))
	sink, ctx := new(consumertest.TracesSink), context.Background()
	set := processor.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	sampler, err := factory.CreateTraces(ctx, set, config, sink)
	check(err)
	check(sampler.Start(ctx, componenttest.NewNopHost()))
	bytes, err := os.ReadFile(os.Args[2])
	check(err)
	var reader ptrace.ProtoUnmarshaler
	for len(bytes) >= 4 {
		size := int(binary.LittleEndian.Uint32(bytes))
		traces, err := reader.UnmarshalTraces(bytes[4 : 4+size])
		check(err)
		check(sampler.ConsumeTraces(ctx, traces))
		bytes = bytes[4+size:]
	}
	// What waits is decided about at the end.
	time.Sleep(100 * time.Millisecond)
	check(sampler.Shutdown(ctx))
	for _, traces := range sink.AllTraces() {
		for _, rs := range traces.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					fmt.Println(span.TraceID())
				}
			}
		}
	}
}
