//! What this stage saw and what it lost.

wirespan_signals::counters! {
    /// One atomic per counter.
    pub struct Counters;
    exchanges_open: "Requests and streams under way now, however long they take",
    exchanges_lasting: "Requests and streams that have been under way for more than 5 s",
    exchanges_longest_seconds: "For how long the longest of them has been under way, seconds",
    tasks_forgotten: "Tasks whose execution is not told because their worker, or all together, had taken too many",
    task_calls_released: "Calls that waited in vain for the end of the task that may have made them",
    links_exact: "Calls that hang below the request that they were made for, proven",
    links_inferred: "Calls that hang below the request that they were made for, as far as could be inferred",
    links_missing: "Calls of processes that serve requests that hang below none of them",
    links_suggested: "Of those, calls that have a span link to the one request that they may well be for",
    links_disagreed: "Calls that were claimed for two requests, and hang below neither",
    exceptions_placed: "Exceptions that programs printed, on the span of the request that they were raised for",
    exceptions_unplaced: "Exceptions that programs printed and that were raised for no request as far as is proven",
    log_records_placed: "Records of logs that were written for a request, as far as is proven",
    log_records_unplaced: "Records of logs that were written for no request as far as is proven, and name no span: told without one",
    connects_left_out: "Repeated failures to connect that belong to no request, told once a minute",
    spans_finished: "Spans handed to the exporters",
    spans_unsampled: "Spans dropped because the incoming context says not sampled",
    spans_evicted: "Spans dropped because too many were in flight",
    spans_evicted_for_memory: "Of those, because they took too much memory",
    spans_untold: "Of the dropped ones, finished spans that were not measured either, because too many vanished at a time",
    spans_hurried: "Spans of traces that left before their hold was over because memory was scarce",
}
