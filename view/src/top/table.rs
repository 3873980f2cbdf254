//! What is in the table: rows, their order, and which of them are shown.

use std::cmp::Ordering;

use super::poll::News;
use crate::client::answer::AgentStatus;
use crate::store::report::Rates;

/// A column that the table can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Column {
    Service,
    Operation,
    #[default]
    Rate,
    Errors,
    P50,
    P95,
    P99,
}

impl Column {
    pub(super) const ALL: [Self; 7] =
        [Self::Service, Self::Operation, Self::Rate, Self::Errors, Self::P50, Self::P95, Self::P99];
}

/// What the rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rows {
    #[default]
    Operations,
    Services,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) service: String,
    /// Empty for a service.
    pub(super) operation: String,
    pub(super) kind: String,
    pub(super) figures: Rates,
}

impl Row {
    /// Which part of the calls failed, 0 to 1.
    pub(super) fn failing(&self) -> f64 {
        self.figures.errors as f64 / self.figures.calls.max(1) as f64
    }
}

/// The table.
#[derive(Default)]
pub(super) struct Table {
    pub(super) rows: Rows,
    pub(super) column: Column,
    reversed: bool,
    /// Only rows that contain this, whatever the case.
    pub(super) filter: String,
    /// The first row that is shown.
    pub(super) top: usize,
    pub(super) status: AgentStatus,
    /// Seconds that the figures are about.
    pub(super) window: u64,
    operations: Vec<Row>,
    services: Vec<Row>,
}

impl Table {
    /// Replaces everything by what is new.
    pub(super) fn renew(&mut self, news: News) {
        self.status = news.status;
        self.window = news.window;
        let operation = |o: crate::client::answer::Operation| Row {
            service: o.service,
            operation: o.operation,
            kind: o.kind,
            figures: o.figures,
        };
        self.operations = news.operations.operations.into_iter().map(operation).collect();
        let service = |s: crate::client::answer::Service| Row {
            service: s.service,
            operation: String::new(),
            kind: if s.external { "external".to_owned() } else { String::new() },
            figures: s.figures,
        };
        self.services = news.services.nodes.into_iter().map(service).collect();
    }

    /// The rows that pass the filter, in order.
    pub(super) fn shown(&self) -> Vec<&Row> {
        let rows = match self.rows {
            Rows::Operations => &self.operations,
            Rows::Services => &self.services,
        };
        let wanted = self.filter.to_lowercase();
        let passes = |row: &&Row| {
            let contains = |text: &str| text.to_lowercase().contains(&wanted);
            wanted.is_empty() || contains(&row.service) || contains(&row.operation)
        };
        let mut shown: Vec<&Row> = rows.iter().filter(passes).collect();
        shown.sort_by(|a, b| {
            let order = compare(self.column, a, b);
            let order = if self.reversed { order.reverse() } else { order };
            // What is equal keeps its place from one moment to the next.
            order.then_with(|| (&a.service, &a.operation, &a.kind).cmp(&(&b.service, &b.operation, &b.kind)))
        });
        shown
    }

    /// Answered requests a second and failed ones, of all services.
    pub(super) fn totals(&self) -> (f64, f64) {
        let own = self.services.iter().filter(|row| row.kind.is_empty());
        own.fold((0.0, 0.0), |(rate, failing), row| {
            let figures = &row.figures;
            (rate + figures.rate, failing + figures.rate * row.failing())
        })
    }

    pub(super) fn sort_by_next(&mut self, step: i64) {
        let all = Column::ALL;
        let at = all.iter().position(|column| *column == self.column).unwrap_or(0) as i64;
        let mut next = (at + step).rem_euclid(all.len() as i64) as usize;
        if self.rows == Rows::Services && all[next] == Column::Operation {
            next = (next as i64 + step.signum()).rem_euclid(all.len() as i64) as usize;
        }
        self.column = all[next];
        self.reversed = false;
    }

    pub(super) fn reverse(&mut self) {
        self.reversed = !self.reversed;
    }

    pub(super) fn is_reversed(&self) -> bool {
        self.reversed
    }

    pub(super) fn switch(&mut self) {
        self.rows = match self.rows {
            Rows::Operations => Rows::Services,
            Rows::Services => Rows::Operations,
        };
        self.top = 0;
        if self.rows == Rows::Services && self.column == Column::Operation {
            self.column = Column::Service;
        }
    }

    pub(super) fn set_filter(&mut self, filter: String) {
        self.filter = filter;
        self.top = 0;
    }

    /// Moves down by so many rows, not beyond the last.
    pub(super) fn scroll(&mut self, by: i64) {
        let last = self.shown().len().saturating_sub(1) as i64;
        self.top = (self.top as i64).saturating_add(by).clamp(0, last) as usize;
    }
}

/// Names from A, figures from the largest.
fn compare(column: Column, a: &Row, b: &Row) -> Ordering {
    let (x, y) = (&a.figures, &b.figures);
    match column {
        Column::Service => a.service.cmp(&b.service),
        Column::Operation => a.operation.cmp(&b.operation),
        Column::Rate => y.rate.total_cmp(&x.rate),
        Column::Errors => b.failing().total_cmp(&a.failing()),
        Column::P50 => y.p50_ns.cmp(&x.p50_ns),
        Column::P95 => y.p95_ns.cmp(&x.p95_ns),
        Column::P99 => y.p99_ns.cmp(&x.p99_ns),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::client::answer::{Operation, Operations, Service, Services};

    pub(in crate::top) fn figures(rate: f64, errors: u64, p95_ms: u64) -> Rates {
        let ms = 1_000_000;
        Rates { calls: 100, rate, errors, p50_ns: p95_ms * ms / 2, p95_ns: p95_ms * ms, p99_ns: p95_ms * ms * 2 }
    }

    /// Three operations of two services, and a database.
    pub(in crate::top) fn filled() -> Table {
        let mut table = Table::default();
        let operation = |service: &str, operation: &str, figures| Operation {
            service: service.to_owned(),
            operation: operation.to_owned(),
            kind: "server".to_owned(),
            figures,
        };
        let service = |name: &str, external, figures| Service { service: name.to_owned(), external, figures };
        table.renew(News {
            status: AgentStatus { host: "box".to_owned(), traces: 7, ..AgentStatus::default() },
            operations: Operations {
                operations: vec![
                    operation("shop", "GET /orders/{id}", figures(10.0, 0, 20)),
                    operation("stock", "GET /stock/{id}", figures(30.0, 50, 5)),
                    operation("shop", "GET /evil\x1b[2J", figures(20.0, 10, 900)),
                ],
            },
            services: Services {
                nodes: vec![
                    service("shop", false, figures(30.0, 10, 900)),
                    service("stock", false, figures(30.0, 50, 5)),
                    service("postgresql", true, figures(99.0, 0, 1)),
                ],
            },
            window: 60,
        });
        table
    }

    fn order(table: &Table) -> Vec<&str> {
        table
            .shown()
            .into_iter()
            .map(|row| if row.operation.is_empty() { &*row.service } else { &*row.operation })
            .collect()
    }

    #[test]
    fn rows_are_sorted_by_the_chosen_column() {
        let mut table = filled();
        assert_eq!(order(&table), ["GET /stock/{id}", "GET /evil\x1b[2J", "GET /orders/{id}"], "by rate");
        table.column = Column::P95;
        assert_eq!(order(&table), ["GET /evil\x1b[2J", "GET /orders/{id}", "GET /stock/{id}"]);
        table.reverse();
        assert_eq!(order(&table)[0], "GET /stock/{id}");
        table.column = Column::Errors;
        table.reverse();
        assert_eq!(order(&table)[0], "GET /stock/{id}");
    }

    #[test]
    fn every_column_is_reached_and_services_have_no_operation() {
        let mut table = filled();
        let reached: Vec<Column> = Column::ALL
            .iter()
            .map(|_| {
                table.sort_by_next(1);
                table.column
            })
            .collect();
        assert!(Column::ALL.iter().all(|column| reached.contains(column)));
        table.column = Column::Operation;
        table.switch();
        for _ in 0..20 {
            assert_ne!(table.column, Column::Operation);
            table.sort_by_next(-1);
        }
    }

    #[test]
    fn the_filter_finds_services_and_operations() {
        let mut table = filled();
        table.set_filter("STOCK".to_owned());
        assert_eq!(order(&table), ["GET /stock/{id}"]);
        table.set_filter("orders".to_owned());
        assert_eq!(order(&table), ["GET /orders/{id}"]);
        table.set_filter("nothing".to_owned());
        table.scroll(5);
        assert_eq!((order(&table).len(), table.top), (0, 0));
    }

    #[test]
    fn what_is_only_called_does_not_count_as_answered() {
        let (rate, failing) = filled().totals();
        assert_eq!((rate, failing), (60.0, 3.0 + 15.0));
    }
}
