//! Every span of a run in a file, for those who want to look for themselves.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use wirespan_tests::span::Span;

use super::judge::EVIDENCE;

/// Writes `<folder>/<stack>.jsonl`, one span a line.
///
/// # Errors
///
/// When it cannot be written.
pub fn write(folder: &Path, stack: &str, spans: &[Span]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{stack}.jsonl"));
    let mut file = BufWriter::new(File::create(&path).with_context(|| path.display().to_string())?);
    for span in spans {
        let line = json!({
            "trace": span.trace_id,
            "span": span.span_id,
            "parent": span.parent,
            "kind": span.kind.to_string(),
            "path": span.path(),
            "port": span.int("server.port"),
            "evidence": span.text(EVIDENCE),
            "service": span.service(),
            "start": span.start,
            "end": span.end,
        });
        writeln!(file, "{line}")?;
    }
    file.flush().context("writing spans")
}
