//! The screen: a head, the table, a line of keys. Columns give way one by one where it is narrow.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as GridRow, Table as Grid};

use super::table::{Column, Row, Rows, Table};
use super::{Screen, WINDOWS};
use wirespan_delivery::text::words::{duration, harmless};

/// A column: what it sorts by, its head, its width, and from which width of the screen on it is shown.
struct Spec {
    sorts: Option<Column>,
    head: &'static str,
    width: u16,
    from: u16,
    cell: fn(&Row) -> String,
}

/// Figures, in the order in which they stand.
const FIGURES: [Spec; 7] = [
    Spec { sorts: None, head: "KIND", width: 8, from: 110, cell: |row| row.kind.clone() },
    Spec { sorts: None, head: "CALLS", width: 8, from: 95, cell: |row| row.figures.calls.to_string() },
    Spec { sorts: Some(Column::Rate), head: "RATE/s", width: 8, from: 0, cell: |row| number(row.figures.rate) },
    Spec { sorts: Some(Column::Errors), head: "ERR %", width: 7, from: 40, cell: |row| percent(row) },
    Spec { sorts: Some(Column::P50), head: "P50", width: 8, from: 80, cell: |row| time(row, row.figures.p50_ns) },
    Spec { sorts: Some(Column::P95), head: "P95", width: 8, from: 50, cell: |row| time(row, row.figures.p95_ns) },
    Spec { sorts: Some(Column::P99), head: "P99", width: 8, from: 70, cell: |row| time(row, row.figures.p99_ns) },
];

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, place: &str) {
    let [head, middle, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
    frame.render_widget(Paragraph::new(heading(screen, place)), head);
    table(frame, &screen.table, middle);
    frame.render_widget(Paragraph::new(footing(screen)), foot);
}

fn heading(screen: &Screen, place: &str) -> Line<'static> {
    let table = &screen.table;
    let (rate, failing) = table.totals();
    let mut parts = vec![
        Span::from("wirespan top").bold(),
        Span::from(format!("  {} requests/s", number(rate))),
        Span::from(format!("  {} errors/s", number(failing))).style(if failing > 0.0 { alarm() } else { Style::new() }),
        Span::from(format!("  last {} s", WINDOWS[screen.window])),
    ];
    if screen.paused {
        parts.push(Span::from("  paused").yellow().bold());
    }
    let lost: u64 = table.status.lost.values().sum();
    if lost > 0 {
        parts.push(Span::from(format!("  {lost} lost (see status)")).yellow());
    }
    parts
        .push(Span::from(format!("  {} traces  {}  {place}", table.status.traces, harmless(&table.status.host))).dim());
    Line::from(parts)
}

fn footing(screen: &Screen) -> Line<'static> {
    if let Some(problem) = &screen.problem {
        return Line::from(harmless(problem).into_owned()).style(alarm());
    }
    let filter = harmless(&screen.table.filter).into_owned();
    if screen.typing.is_some() {
        return Line::from(format!("filter: {filter}_   Enter keeps it, Esc takes it back"));
    }
    let filter = if filter.is_empty() { String::new() } else { format!("  filter: {filter}") };
    let other = match screen.table.rows {
        Rows::Operations => "services",
        Rows::Services => "operations",
    };
    Line::from(format!("q quit  / filter  s sort  r reverse  Tab {other}  w window  p pause  ↑↓ scroll{filter}")).dim()
}

fn table(frame: &mut Frame<'_>, table: &Table, area: Rect) {
    let shown = table.shown();
    if shown.is_empty() {
        let text = match table.filter.is_empty() {
            true => "no request seen in this time: make one, such as `curl http://127.0.0.1:8080/`",
            false => "nothing matches the filter: / changes it",
        };
        return frame.render_widget(Paragraph::new(text).dim(), area);
    }
    let figures: Vec<&Spec> = FIGURES.iter().filter(|spec| spec.from <= area.width).collect();
    let operations = table.rows == Rows::Operations;
    let fixed: u16 = figures.iter().map(|spec| spec.width + 1).sum();
    let room = area.width.saturating_sub(fixed);
    let mut widths = vec![if operations { room * 2 / 5 } else { room }];
    let mut heads = vec![head(table, Some(Column::Service), "SERVICE")];
    if operations {
        widths.push(room.saturating_sub(widths[0] + 1));
        heads.push(head(table, Some(Column::Operation), "OPERATION"));
    }
    widths.extend(figures.iter().map(|spec| spec.width));
    heads.extend(figures.iter().map(|spec| head(table, spec.sorts, &format!("{:>1$}", spec.head, spec.width.into()))));
    let height = usize::from(area.height.saturating_sub(1));
    let rows = shown.iter().skip(table.top).take(height).map(|row| line(row, operations, &figures));
    let grid =
        Grid::new(rows, widths.into_iter().map(Constraint::Length)).header(GridRow::new(heads)).column_spacing(1);
    frame.render_widget(grid, area);
}

/// A column's head; an arrow marks the one that is sorted by.
fn head(table: &Table, column: Option<Column>, text: &str) -> Cell<'static> {
    let style = Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
    if column != Some(table.column) {
        return Cell::from(text.to_owned()).style(style);
    }
    let arrow = if table.is_reversed() { '▲' } else { '▼' };
    // In the place of a space where there is one, so that figures stay below their head.
    let marked = match text.strip_prefix(' ') {
        Some(rest) => format!("{rest}{arrow}"),
        None => format!("{text}{arrow}"),
    };
    Cell::from(marked).style(style.fg(Color::Cyan))
}

fn line(row: &Row, operations: bool, figures: &[&Spec]) -> GridRow<'static> {
    let mut cells = vec![Cell::from(harmless(&row.service).into_owned())];
    if operations {
        cells.push(Cell::from(harmless(&row.operation).into_owned()));
    }
    cells.extend(figures.iter().map(|spec| {
        let text = format!("{:>1$}", harmless(&(spec.cell)(row)), spec.width.into());
        let alarming = spec.sorts == Some(Column::Errors) && row.figures.errors > 0;
        Cell::from(text).style(if alarming { alarm() } else { Style::new() })
    }));
    GridRow::new(cells)
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

fn percent(row: &Row) -> String {
    if row.figures.errors == 0 { "0".to_owned() } else { number(row.failing() * 100.0) }
}

/// A duration, if there was any call to take it from.
fn time(row: &Row, nanos: u64) -> String {
    if row.figures.calls == 0 { "–".to_owned() } else { duration(nanos) }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::table::tests::filled;
    use super::*;

    fn screen(width: u16, height: u16, change: impl Fn(&mut Screen)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut screen = Screen { table: filled(), window: 0, typing: None, paused: false, problem: None };
        change(&mut screen);
        terminal.draw(|frame| draw(frame, &mut screen, "127.0.0.1:4316")).unwrap();
        let cells = terminal.backend().buffer().content();
        cells.chunks(width.into()).map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
    }

    #[test]
    fn a_wide_screen_has_every_column() {
        let lines = screen(120, 8, |_| ());
        assert!(
            lines[0].starts_with("wirespan top  60.0 requests/s  18.0 errors/s  last 60 s  7 traces  box"),
            "{}",
            lines[0]
        );
        for head in ["SERVICE", "OPERATION", "KIND", "CALLS", "RATE/s▼", "ERR %", "P50", "P95", "P99"] {
            assert!(lines[1].contains(head), "{head}: {}", lines[1]);
        }
        assert!(
            lines[2].contains("stock") && lines[2].contains("30.0") && lines[2].contains("5.00 ms"),
            "{}",
            lines[2]
        );
        assert!(lines[7].starts_with("q quit"), "{}", lines[7]);
    }

    #[test]
    fn a_narrow_screen_keeps_what_matters_and_none_is_too_small() {
        let lines = screen(45, 8, |_| ());
        assert!(lines[1].contains("RATE/s") && lines[1].contains("ERR %") && !lines[1].contains("P50"), "{}", lines[1]);
        for width in 1..140 {
            for height in 1..6 {
                screen(width, height, |screen| screen.table.switch());
                screen(width, height, |_| ());
            }
        }
    }

    #[test]
    fn services_and_a_filter_and_a_problem_are_shown() {
        let services = screen(100, 8, |screen| screen.table.switch());
        assert!(!services[1].contains("OPERATION") && services.iter().any(|line| line.starts_with("postgresql")));
        let filtered = screen(100, 8, |screen| {
            screen.table.set_filter("zz".to_owned());
            screen.typing = Some(String::new());
        });
        assert!(filtered[1].contains("nothing matches") && filtered[7].starts_with("filter: zz_"), "{filtered:?}");
        let broken = screen(100, 8, |screen| screen.problem = Some("no wirespan answers".to_owned()));
        assert!(broken[7].starts_with("no wirespan answers"), "{broken:?}");
    }

    #[test]
    fn text_from_the_wire_steers_no_terminal() {
        let lines = screen(120, 8, |_| ()).concat();
        assert!(lines.contains("GET /evil\\x1b[2J") && !lines.contains('\x1b'), "{lines}");
    }
}
