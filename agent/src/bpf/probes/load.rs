//! The programs that run in probes, loaded: for many places at once where the kernel has that, which aya does not know; else by
//! aya, for one place each.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya::programs::UProbe;
use aya_obj::Object;

use super::{Kernel, Program, kernel};

/// The first Linux in which links for many places, which are there since 6.6, know processes and not only threads.
const TOGETHER_SINCE: (u32, u32) = (6, 11);

/// The descriptors of all maps, by name.
pub type Maps = HashMap<String, RawFd>;

/// The maps of a loaded object, before any is taken out of it.
pub fn maps(ebpf: &Ebpf) -> Maps {
    ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), data(map)?.fd().as_fd().as_raw_fd()))).collect()
}

/// Of the kinds that the object has.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) | Map::HashMap(data) | Map::LruHashMap(data) | Map::PerCpuArray(data) | Map::RingBuf(data) => {
            Some(data)
        }
        _ => None,
    }
}

/// Loads all programs, in the best way that the kernel has.
pub fn load(ebpf: &mut Ebpf, object: &[u8], maps: &Maps) -> Result<Kernel, String> {
    if has_links_for_many() {
        match together(object, maps) {
            Ok(programs) => return Ok(Kernel::together(programs)),
            Err(error) => log::warn!("probes are attached one by one: {error}"),
        }
    }
    Kernel::single(single(ebpf)?).map_err(|error| format!("the kernel has no probes ({error})"))
}

/// `true` for a version of Linux whose links for many places can be used.
fn has_links_for_many() -> bool {
    let uname = rustix::system::uname();
    version(&uname.release().to_string_lossy()).is_some_and(|version| version >= TOGETHER_SINCE)
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(['.', '-']).map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn together(object: &[u8], maps: &Maps) -> Result<Vec<(Program, OwnedFd)>, String> {
    let mut object = Object::parse(object).map_err(|e| e.to_string())?;
    let types = types(&mut object)?;
    let known: Vec<(String, aya_obj::Map)> = object.maps.drain().collect();
    let known = known.iter().filter_map(|(name, map)| Some((name.as_str(), *maps.get(name)?, map)));
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(known, &text).map_err(|e| e.to_string())?;
    object.relocate_calls(&text).map_err(|e| e.to_string())?;
    let load = |program: Program| {
        let found = object.programs.get(program.name()).and_then(|p| object.functions.get(&p.function_key()));
        let function = found.ok_or_else(|| format!("{} is missing from the object", program.name()))?;
        let loaded = kernel::load(function, types.as_ref(), &object.license, program.name());
        loaded.map(|fd| (program, fd)).map_err(|error| format!("the kernel refused {}: {error}", program.name()))
    };
    Program::ALL.into_iter().map(load).collect()
}

/// The description of the programs' types, as far as this kernel understands it.
fn types(object: &mut Object) -> Result<Option<OwnedFd>, String> {
    let Some(features) = aya::features().btf() else { return Ok(None) };
    let types = object.fixup_and_sanitize_btf(features).map_err(|e| e.to_string())?;
    let loaded = types.map(|types| kernel::load_types(&types.to_bytes())).transpose();
    loaded.map_err(|error| format!("the kernel refused the programs' types: {error}"))
}

fn single(ebpf: &mut Ebpf) -> Result<Vec<(Program, OwnedFd)>, String> {
    let mut load = |program: Program| -> Result<_, String> {
        let missing = || format!("{} is missing from the object", program.name());
        let found = ebpf.program_mut(program.name()).ok_or_else(missing)?;
        let loaded: &mut UProbe = found.try_into().map_err(|e: aya::programs::ProgramError| e.to_string())?;
        loaded.load().map_err(|e| super::super::load_error(program.name(), &e).to_string())?;
        let fd = loaded.fd().map_err(|e| e.to_string())?.as_fd().try_clone_to_owned();
        Ok((program, fd.map_err(|e| e.to_string())?))
    };
    Program::ALL.into_iter().map(&mut load).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_to_its_second_number() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("6.1-rc3"), Some((6, 1)));
        assert_eq!(version("unknown"), None);
    }
}
