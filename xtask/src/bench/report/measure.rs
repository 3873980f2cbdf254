//! Every measure: its key, what it is called, which way is better, and what we aim for.

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    /// For people.
    pub fn text(self) -> String {
        match self {
            Self::AtLeast(value) => format!("≥ {value}"),
            Self::AtMost(value) => format!("≤ {value}"),
        }
    }

    /// Whether the figure is what it should be.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// Which change is good news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
    /// It is the machine's, or a setting.
    Neither,
}

impl Better {
    /// As in the JSON file.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Higher => Some("higher"),
            Self::Lower => Some("lower"),
            Self::Neither => None,
        }
    }
}

/// The table that shows a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// What the traced program pays: a column, with a line for each subject.
    Program,
    /// What the agent takes and gives, likewise.
    Agent,
    /// The absolute figures behind the ratios, likewise.
    Behind,
    /// A line of its own.
    Alone,
    /// What a program pays that makes a call for each request: a column, with a line for each.
    Calls,
    /// What a program pays whose TLS is read: a column, with a line for each.
    Tls,
    /// In the table of growth.
    Growth,
}

/// A kind of figure. With the key of what was measured, its own is the key in the JSON file, and never changes.
#[derive(Debug)]
pub struct Measure {
    pub key: &'static str,
    pub title: &'static str,
    /// Empty for a ratio.
    pub unit: &'static str,
    pub better: Better,
    pub table: Table,
    pub aim: Option<Aim>,
}

use Better::{Higher, Lower, Neither};

const fn measure(key: &'static str, title: &'static str, unit: &'static str, better: Better, table: Table) -> Measure {
    Measure { key, title, unit, better, table, aim: None }
}

const fn alone(key: &'static str, title: &'static str, unit: &'static str, aim: Option<Aim>) -> Measure {
    Measure { key, title, unit, better: Lower, table: Table::Alone, aim }
}

impl Measure {
    pub const THROUGHPUT: Self =
        measure("throughput_ratio", "requests/s at the limit, with ÷ without", "", Higher, Table::Program);
    pub const P50: Self = measure("p50_ratio", "p50 at the fixed rate, with ÷ without", "", Lower, Table::Program);
    pub const P99: Self = measure("p99_ratio", "p99 at the fixed rate, with ÷ without", "", Lower, Table::Program);
    pub const APP_CPU: Self =
        measure("app_cpu_ratio", "its CPU per request at the limit, with ÷ without", "", Lower, Table::Program);

    pub const AGENT_CPU: Self =
        measure("agent_cpu_per_1000", "agent CPU per 1 000 requests", "ms", Lower, Table::Agent);
    pub const RING_BYTES: Self =
        measure("ring_bytes_per_request", "bytes of ring per request", "B", Lower, Table::Agent);
    pub const RECORDS: Self = measure("records_per_request", "records per request", "", Lower, Table::Agent);
    pub const BPF_OPERATION: Self = Self {
        aim: Some(Aim::AtMost(300.0)),
        ..measure("bpf_ns_per_operation", "BPF time per socket operation", "ns", Lower, Table::Agent)
    };
    pub const SERVER_SPANS: Self =
        measure("server_spans_ratio", "SERVER spans delivered ÷ requests made", "", Higher, Table::Agent);
    pub const CLIENT_SPANS: Self =
        measure("client_spans_ratio", "CLIENT spans delivered ÷ requests made", "", Higher, Table::Agent);
    pub const RING_LOSSES: Self =
        measure("ring_lost_per_request", "records lost at a full ring per request", "", Lower, Table::Agent);

    pub const RATE_WITHOUT: Self = measure("rate_without", "limit without", "1/s", Neither, Table::Behind);
    pub const RATE_WITH: Self = measure("rate_with", "limit with", "1/s", Neither, Table::Behind);
    pub const NOISE: Self =
        measure("noise_ratio", "limit without, a pair ÷ the one before", "", Neither, Table::Behind);
    pub const APP_CPU_WITHOUT: Self =
        measure("app_cpu_per_1000_without", "its CPU per 1 000 requests without", "ms", Neither, Table::Behind);
    pub const FIXED_RATE: Self = measure("fixed_rate", "fixed rate", "1/s", Neither, Table::Behind);
    pub const P50_WITHOUT: Self = measure("p50_without", "p50 without", "ms", Neither, Table::Behind);
    pub const P50_WITH: Self = measure("p50_with", "p50 with", "ms", Neither, Table::Behind);
    pub const P99_WITHOUT: Self = measure("p99_without", "p99 without", "ms", Neither, Table::Behind);
    pub const P99_WITH: Self = measure("p99_with", "p99 with", "ms", Neither, Table::Behind);

    pub const CALLS_CPU: Self = Self {
        aim: Some(Aim::AtMost(1.1)),
        ..measure("app_cpu_ratio", "its CPU per request, with ÷ without", "", Lower, Table::Calls)
    };
    pub const CALLS_CPU_UNPROBED: Self =
        measure("app_cpu_ratio_unprobed", "the same with `probes: off`", "", Lower, Table::Calls);
    pub const CALLS_PROBES: Self =
        measure("probes_ratio", "its CPU per request, with probes ÷ without them", "", Lower, Table::Calls);
    pub const CALLS_CPU_WITHOUT: Self =
        measure("app_cpu_per_1000_without", "its CPU per 1 000 requests without", "ms", Neither, Table::Calls);

    pub const TLS_CPU: Self = Self {
        aim: Some(Aim::AtMost(1.1)),
        ..measure("app_cpu_ratio", "its CPU per request, TLS read ÷ without the agent", "", Lower, Table::Tls)
    };
    pub const TLS_CPU_OFF: Self = measure("app_cpu_ratio_off", "the same with `--tls off`", "", Lower, Table::Tls);
    pub const TLS_CPU_UNSELECTED: Self =
        measure("app_cpu_ratio_unselected", "the same, TLS of others read, not traced itself", "", Lower, Table::Tls);
    pub const TLS_CPU_READING: Self =
        measure("reading_ratio", "its CPU per request, TLS read ÷ `--tls off`", "", Lower, Table::Tls);
    pub const TLS_RATE: Self =
        measure("throughput_ratio", "requests/s, TLS read ÷ without the agent", "", Higher, Table::Tls);
    pub const TLS_RATE_OFF: Self = measure("throughput_ratio_off", "the same with `--tls off`", "", Higher, Table::Tls);
    pub const TLS_CPU_WITHOUT: Self =
        measure("app_cpu_per_1000_without", "its CPU per 1 000 requests without", "ms", Neither, Table::Tls);

    pub const FIRST_SPAN: Self =
        alone("first_span", "time from agent start to first span", "s", Some(Aim::AtMost(1.0)));
    pub const EXIT: Self = alone("exit", "time from SIGTERM to exit", "s", Some(Aim::AtMost(2.0)));
    pub const MEMORY_IDLE: Self = alone("memory_idle", "resident memory, idle", "MiB", MEMORY_AIM);
    pub const MEMORY_CONNECTIONS: Self =
        alone("memory_connections", "resident memory, 10 000 open connections", "MiB", MEMORY_AIM);
    pub const MEMORY_CHURN: Self = alone("memory_churn", "resident memory, after short connections", "MiB", MEMORY_AIM);
    pub const MEMORY_PEAK: Self = alone("memory_peak", "resident memory, peak", "MiB", None);
    pub const CHURN_SPANS: Self = Self {
        better: Higher,
        aim: Some(Aim::AtLeast(1.0)),
        ..alone("churn_spans_ratio", "short connections: SERVER spans delivered ÷ requests made", "", None)
    };
    pub const BPF_RUN: Self = alone("ns_per_run", "BPF time per run", "ns", None);

    pub const GROWTH_CPU: Self = measure("cpu", "agent CPU", "cores", Lower, Table::Growth);
    pub const GROWTH_MEMORY: Self = measure("memory", "resident memory of the agent", "MiB", Lower, Table::Growth);
}

const MEMORY_AIM: Option<Aim> = Some(Aim::AtMost(50.0));
