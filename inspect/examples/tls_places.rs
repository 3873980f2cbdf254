//! Prints what would be probed of the TLS libraries in files.

use wirespan_inspect::{Error, Image, tls};

fn main() {
    let places = tls::Places::Cheap;
    for path in std::env::args().skip(1) {
        let begun = std::time::Instant::now();
        let found = std::fs::File::open(&path).map_err(|e| e.to_string()).and_then(|file| {
            let mut image = Image::parse(&file).map_err(|e| e.to_string())?;
            let found = if tls::is_library(&image).unwrap_or(false) {
                tls::probes(&mut image, places)
            } else {
                match tls::hidden(&mut image, places) {
                    Ok(None) => tls::rustls::probes(&mut image, places),
                    found => found,
                }
                .and_then(|found| found.ok_or(Error::Missing("TLS library that is known")))
            };
            found.map_err(|e| e.to_string())
        });
        println!("{path}: {} ms", begun.elapsed().as_millis());
        match found {
            Ok(probes) => probes.iter().for_each(|p| println!("  {:#x} {:#018x}", p.offset, p.cookie)),
            Err(error) => println!("  {error}"),
        }
    }
}
