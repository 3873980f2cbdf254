//! Where goroutines do things for each other: functions of Go's library and of gRPC, and the instructions in front of their
//! bodies at which their arguments are still where they were passed.

use wirespan_common::go_place as place;

use super::types::Offsets;
use super::{Function, Module, births};
use crate::image::{Image, Machine};
use crate::{Error, code};

/// Bytes of a function that are looked at.
const LOOKED_AT: u64 = 256;
/// A field that lies further into a structure is not what was looked for.
const MAX_OFFSET: u32 = 16_384;

/// An instruction to be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where in the file it is.
    pub offset: u64,
    /// What the kernel program is told there (`wirespan_common::go_place`).
    pub cookie: u64,
}

/// What of a program can be probed, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// The places.
    pub probes: Vec<Probe>,
    /// Those at which goroutines are made, and where they end.
    pub births: Vec<Probe>,
    /// Functions that the program has and that cannot be probed, with the reason.
    pub gaps: Vec<String>,
}

/// A function, and which fields of which structures its probe is told. A field that two structures may have is in the first
/// that the program has.
struct Wanted {
    /// Packages that have it, as they are spelt in names of functions.
    packages: &'static [&'static str],
    function: &'static str,
    place: u8,
    fields: [&'static [(&'static str, &'static str)]; 2],
}

const HTTP: &[&str] = &["net/http"];
/// HTTP/2 is a package of its own, was copied into `net/http` with a prefix to its names until Go 1.26, and lies in
/// `net/http/internal` since.
const HTTP2: &[&str] = &["golang.org/x/net/http2", "net/http/internal/http2"];
const GRPC: &[&str] = &["google.golang.org/grpc"];
const TRANSPORT: &[&str] = &["google.golang.org/grpc/internal/transport"];

const REQUEST: &[(&str, &str)] = &[("http.Request", "ctx")];
const NONE: &[(&str, &str)] = &[];

const WANTED: &[Wanted] = &[
    Wanted { packages: HTTP, function: "serverHandler.ServeHTTP", place: place::SERVES, fields: [REQUEST, NONE] },
    Wanted {
        packages: HTTP,
        function: "(*persistConn).roundTrip",
        place: place::ROUND_TRIP,
        fields: [&[("http.transportRequest", "ctx"), ("http.Request", "ctx")], NONE],
    },
    Wanted { packages: HTTP, function: "persistConnWriter.Write", place: place::WRITES, fields: [NONE, NONE] },
    Wanted {
        packages: HTTP2,
        function: "(*clientStream).writeRequest",
        place: place::STREAM_WRITES,
        fields: [&[("http2.clientStream", "ctx")], NONE],
    },
    Wanted {
        packages: HTTP,
        function: "(*http2clientStream).writeRequest",
        place: place::STREAM_WRITES,
        fields: [&[("http.http2clientStream", "ctx")], NONE],
    },
    Wanted {
        packages: HTTP2,
        function: "(*serverConn).runHandler",
        place: place::STREAM_SERVES,
        fields: [REQUEST, &[("http2.stream", "id")]],
    },
    Wanted {
        packages: HTTP,
        function: "(*http2serverConn).runHandler",
        place: place::STREAM_SERVES,
        fields: [REQUEST, &[("http.http2stream", "id")]],
    },
    Wanted {
        packages: GRPC,
        function: "(*Server).handleStream",
        place: place::RPC_SERVES,
        fields: [&[("transport.Stream", "ctx")], &[("transport.Stream", "id")]],
    },
    Wanted { packages: TRANSPORT, function: "(*http2Client).NewStream", place: place::RPC_CALLS, fields: [NONE, NONE] },
    Wanted {
        packages: TRANSPORT,
        function: "(*controlBuffer).executeAndPut",
        place: place::RPC_PUTS,
        fields: [NONE, NONE],
    },
    Wanted {
        packages: TRANSPORT,
        function: "(*loopyWriter).clientHeaderHandler",
        place: place::RPC_WRITES,
        fields: [&[("transport.clientHeaders", "streamID")], NONE],
    },
    // Until gRPC 1.7x.
    Wanted {
        packages: TRANSPORT,
        function: "(*loopyWriter).headerHandler",
        place: place::RPC_WRITES,
        fields: [&[("transport.headerFrame", "streamID")], NONE],
    },
];

/// What of a program is to be probed.
///
/// # Errors
/// If its tables make no sense.
pub fn probes(image: &Image<'_>, module: &Module) -> Result<Probed, Error> {
    let mut found = Probed::default();
    if image.machine != Machine::X86_64 {
        found.gaps.push("what goroutines do for each other is not looked for on this processor".to_owned());
        return Ok(found);
    }
    let is_wanted = |name: &str| WANTED.iter().any(|wanted| wanted.is_called(name));
    let functions = module.functions(image, |name| is_wanted(name) || births::is_called(name))?;
    if !functions.iter().any(|function| is_wanted(&function.name)) {
        return Ok(found);
    }
    let fields = Fields::read(image, module)?;
    let mut serves = false;
    for function in &functions {
        let Some(wanted) = WANTED.iter().find(|wanted| wanted.is_called(&function.name)) else { continue };
        let Some(cookie) = wanted.cookie(&fields) else {
            found.gaps.push(format!("of {} the structures are not known", function.name));
            continue;
        };
        match entry(image, function) {
            Some(offset) => {
                serves |= wanted.serves();
                found.probes.push(Probe { offset, cookie });
            }
            None => {
                found.gaps.push(format!("in {} a probe would be single-stepped, which costs too much", function.name))
            }
        }
    }
    if serves {
        let offsets = births::FIELDS.map(|wanted| fields.offset(wanted).map(|(_, offset)| offset));
        match births::births(image, &functions, offsets) {
            Ok(probes) => found.births.extend(probes),
            Err(error) => found.gaps.push(format!("who makes goroutines is not seen: {error}")),
        }
    }
    Ok(found)
}

/// Where in the file the instruction is in front of a function's body at which a probe is cheap.
pub(super) fn entry(image: &Image<'_>, function: &Function) -> Option<u64> {
    let len = function.end.saturating_sub(function.address).min(LOOKED_AT) as usize;
    let offset = image.bytes(function.address, len).ok().and_then(|bytes| code::emulated(&bytes))?;
    image.file_offset(function.address.checked_add(offset)?)
}

/// Offsets of all fields that are wanted.
struct Fields(Vec<(&'static str, &'static str, u16)>);

impl Fields {
    fn read(image: &Image<'_>, module: &Module) -> Result<Self, Error> {
        let of_functions = WANTED.iter().flat_map(|wanted| wanted.fields);
        let all: Vec<(&str, &str)> = of_functions.chain(births::FIELDS).flatten().copied().collect();
        let mut structures: Vec<&str> = all.iter().map(|(structure, _)| *structure).collect();
        structures.sort_unstable();
        structures.dedup();
        let fields: Vec<Vec<&str>> = structures.iter().map(|s| fields_of(&all, s)).collect();
        let wanted: Vec<(&str, &[&str])> = structures.iter().zip(&fields).map(|(s, f)| (*s, f.as_slice())).collect();
        let offsets = module.fields(image, &wanted)?;
        let known =
            structures.iter().zip(&fields).zip(&offsets).flat_map(|((s, names), found)| listed(s, names, found));
        Ok(Self(known.collect()))
    }

    /// Of the first of these that the program has.
    fn offset(&self, wanted: &[(&str, &str)]) -> Option<(usize, u16)> {
        wanted.iter().enumerate().find_map(|(n, (structure, field))| {
            let known = self.0.iter().find(|(s, f, _)| s == structure && f == field)?;
            Some((n, known.2))
        })
    }
}

fn fields_of<'a>(all: &[(&str, &'a str)], structure: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = all.iter().filter(|(s, _)| *s == structure).map(|(_, field)| *field).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn listed(
    structure: &'static str,
    names: &[&'static str],
    found: &Option<Offsets>,
) -> Vec<(&'static str, &'static str, u16)> {
    let offsets = found.iter().flatten().zip(names);
    let small = offsets.filter_map(|(offset, name)| {
        let offset = offset.filter(|offset| *offset < MAX_OFFSET)?;
        Some((structure, *name, u16::try_from(offset).ok()?))
    });
    small.collect()
}

impl Wanted {
    fn is_called(&self, name: &str) -> bool {
        let package =
            |package: &&&str| name.strip_prefix(**package).and_then(|n| n.strip_prefix('.')) == Some(self.function);
        self.packages.iter().find(package).is_some()
    }

    /// Whether it is passed by whoever serves a request.
    fn serves(&self) -> bool {
        [place::SERVES, place::STREAM_SERVES, place::RPC_SERVES].contains(&self.place)
    }

    /// `None` if a field is not known.
    fn cookie(&self, fields: &Fields) -> Option<u64> {
        let [a, b] = self.fields.map(|wanted| match wanted.is_empty() {
            true => Some((0, 0)),
            false => fields.offset(wanted),
        });
        let ((which, a), (_, b)) = (a?, b?);
        // Until Go 1.22 the context of a request that is sent is the request's own.
        let place = if self.place == place::ROUND_TRIP && which == 1 { place::ROUND_TRIP_INDIRECT } else { self.place };
        Some(place::cookie(place, a, b))
    }
}
