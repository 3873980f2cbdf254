//! Prints what would be probed of the TLS libraries in files.

fn main() {
    for path in std::env::args().skip(1) {
        let found = std::fs::File::open(&path).map_err(|e| e.to_string()).and_then(|file| {
            let mut image = wirespan_inspect::Image::parse(&file).map_err(|e| e.to_string())?;
            wirespan_inspect::tls::probes(&mut image).map_err(|e| e.to_string())
        });
        println!("{path}");
        match found {
            Ok(probes) => probes.iter().for_each(|p| println!("  {:#x} {:#018x}", p.offset, p.cookie)),
            Err(error) => println!("  {error}"),
        }
    }
}
