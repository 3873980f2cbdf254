//! `wirespan export`: one trace of a running agent, whole.

use std::process::ExitCode;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::answer::Found;
use super::{Client, ClientError, Endpoint, failed, print};
use wirespan_delivery::text;
use wirespan_signals::Trace;

/// How a trace is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// As the API has it.
    #[default]
    Json,
    /// As OTLP/JSON: an `ExportTraceServiceRequest`, which any OTLP receiver takes.
    Otlp,
    /// A tree, as on the console.
    Text,
}

/// The digits of a whole trace id.
const WHOLE: usize = 32;
/// The fewest digits that a search takes.
const FEWEST: usize = 4;

/// Which trace, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// A trace id, or the beginning of one.
    id: String,
    /// How to write it.
    format: Format,
}

impl Wanted {
    /// The trace whose id begins with `id`.
    ///
    /// # Errors
    /// The rest of a sentence, if that can be no id.
    pub fn new(id: &str, format: Format) -> Result<Self, String> {
        let digits = id.len() <= WHOLE && id.len() >= FEWEST && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(format!("is no trace id; write its 32 hexadecimal digits, or at least the first {FEWEST}"));
        }
        Ok(Self { id: id.to_ascii_lowercase(), format })
    }
}

/// What makes spans of an OTLP message.
pub type FromOtlp = fn(ExportTraceServiceRequest) -> Vec<Trace>;

/// Asks, and prints the trace. The exit status is 0 if there is one, 1 if not.
pub fn run(endpoint: Endpoint, wanted: &Wanted, from_otlp: FromOtlp) -> ExitCode {
    let found = Client::new(endpoint).and_then(|client| read(&client, wanted, from_otlp));
    match found {
        Ok(bytes) => {
            print(&bytes);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn read(client: &Client, wanted: &Wanted, from_otlp: FromOtlp) -> Result<Vec<u8>, ClientError> {
    let id = whole(client, &wanted.id)?;
    if wanted.format == Format::Json {
        let mut json = client.bytes(&format!("/api/v1/trace/{id}"), &[])?.to_vec();
        json.push(b'\n');
        return Ok(json);
    }
    let path = format!("/api/v1/trace/{id}/otlp");
    if wanted.format == Format::Otlp {
        let mut json = client.bytes(&path, &[])?.to_vec();
        json.push(b'\n');
        return Ok(json);
    }
    let request: ExportTraceServiceRequest = client.get(&path, &[])?;
    let spans = from_otlp(request).into_iter().flat_map(|trace| trace.spans).collect();
    Ok(text::plain(&Trace { spans }))
}

/// The whole id of the only trace whose id begins so.
fn whole(client: &Client, id: &str) -> Result<String, ClientError> {
    if id.len() == WHOLE {
        return Ok(id.to_owned());
    }
    let found: Found = client.get("/api/v1/search", &[("trace", id.to_owned()), ("limit", "2".to_owned())])?;
    match &found.traces[..] {
        [] => Err(ClientError::Unknown(format!("no trace id begins with {id}: `wirespan query` lists the traces"))),
        [one] => Ok(one.trace_id.clone()),
        _ => Err(ClientError::Unknown(format!("{} trace ids begin with {id}: write more digits", found.matched))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_hexadecimal_and_not_too_short() {
        assert_eq!(Wanted::new("4BF9", Format::Otlp).unwrap().id, "4bf9");
        for bad in ["", "4bf", "4bf92f3577b34da6a3ce929d0e0e47361", "xyzw", "../status"] {
            assert!(Wanted::new(bad, Format::Json).unwrap_err().contains("hexadecimal"), "{bad}");
        }
    }
}
