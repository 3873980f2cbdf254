//! What a Java archive's manifest calls its program.

use std::fs::File;
use std::io::Read;

use flate2::read::DeflateDecoder;

use crate::discovery::files;

/// How much of the archive is looked at: the manifest stands at its beginning (java.util.jar.JarInputStream).
const HEAD: usize = 64 << 10;
/// The longest manifest.
const MAX_MANIFEST: u64 = 32 << 10;
const MANIFEST: &[u8] = b"META-INF/MANIFEST.MF";
/// A file's header in a ZIP archive (APPNOTE.TXT, §4.3.7).
const LOCAL: &[u8] = b"PK\x03\x04";
const STORED: u16 = 0;
const DEFLATED: u16 = 8;

/// The title in the manifest, or the module that it names.
pub(super) fn title(file: &File) -> Option<String> {
    let head = files::at(file, 0, HEAD)?;
    let manifest = manifest(&head)?;
    let text = String::from_utf8_lossy(&manifest);
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    };
    field("Implementation-Title").or_else(|| field("Automatic-Module-Name")).or_else(|| field("Bundle-SymbolicName"))
}

/// The manifest, if it is among the first files.
fn manifest(mut archive: &[u8]) -> Option<Vec<u8>> {
    let u16 = |at: usize, bytes: &[u8]| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    // A folder may stand before it.
    for _ in 0..4 {
        if !archive.starts_with(LOCAL) {
            return None;
        }
        let packed = u32::from_le_bytes(*archive.get(18..)?.first_chunk()?) as usize;
        let (name, extra) = (usize::from(u16(26, archive)?), usize::from(u16(28, archive)?));
        let data = archive.get(30 + name + extra..)?;
        if archive.get(30..30 + name)? == MANIFEST {
            let mut text = Vec::new();
            match u16(8, archive)? {
                STORED => text.extend_from_slice(data.get(..packed)?),
                // Where the length stands behind the data, they say themselves where they end.
                DEFLATED => drop(DeflateDecoder::new(data).take(MAX_MANIFEST).read_to_end(&mut text)),
                _ => return None,
            }
            return Some(text);
        }
        archive = data.get(packed..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn entry(name: &str, method: u16, packed: &[u8]) -> Vec<u8> {
        let mut bytes = LOCAL.to_vec();
        bytes.extend([20, 0, 0, 0]);
        bytes.extend(method.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes.extend(packed);
        bytes
    }

    fn deflated(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn titled(bytes: &[u8]) -> Option<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        title(&file)
    }

    #[test]
    fn the_manifest_s_title_is_the_name() {
        let manifest = "Manifest-Version: 1.0\r\nImplementation-Title: orders\r\nStart-Class: com.acme.App\r\n";
        let folder = entry("META-INF/", STORED, b"");
        for (method, packed) in [(DEFLATED, deflated(manifest)), (STORED, manifest.as_bytes().to_vec())] {
            let jar = [folder.clone(), entry("META-INF/MANIFEST.MF", method, &packed)].concat();
            assert_eq!(titled(&jar).as_deref(), Some("orders"));
            for end in 0..jar.len() {
                let _ = titled(&jar[..end]);
            }
        }
        assert_eq!(titled(b"PK\x05\x06"), None);
    }

    #[test]
    fn a_manifest_that_grows_is_cut() {
        let bomb = deflated(&"x".repeat(10 << 20));
        assert_eq!(titled(&entry("META-INF/MANIFEST.MF", DEFLATED, &bomb)), None);
    }
}
