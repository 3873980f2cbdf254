//! Temporary: copies the BPF object.
fn main() {
    let out = std::env::var("OUT_DIR").unwrap();
    let from = std::env::var("EBPF_OBJECT")
        .unwrap_or("/work/main/target/ebpf-build/bpfel-unknown-none/release/wirespan-ebpf".into());
    println!("cargo::rerun-if-changed={from}");
    println!("cargo::rerun-if-env-changed=EBPF_OBJECT");
    std::fs::copy(from, format!("{out}/wirespan-ebpf")).unwrap();
}
