//! How the daemon is linked, so that little of it is resident and it starts soon. Each of these is tried on an empty
//! program first: where the linker or the C library of this machine does not know it, it is left out.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=order.ld");
    let is_native = env::var("HOST") == env::var("TARGET");
    if !is_native || env::var("PROFILE").as_deref() != Ok("release") {
        return Ok(());
    }
    let [Some(out), Some(here)] =
        ["OUT_DIR", "CARGO_MANIFEST_DIR"].map(|name| env::var_os(name).map(PathBuf::from))
    else {
        return Err(io::Error::other("this is a build script of cargo"));
    };

    // Relocations, which are read at each start, take 80 KiB less.
    let packed = "-Wl,-z,pack-relative-relocs".to_owned();
    // The unwinder, which only a crash needs, is 24 KiB of the program; as a library it is 110 KiB resident.
    let unwinder = out.join("unwinder");
    fs::create_dir_all(&unwinder)?;
    fs::write(unwinder.join("libgcc_s.so"), "INPUT(-lgcc_eh)\n")?;
    let unwinder = format!("-L{}", unwinder.display());
    let order = format!("-Wl,-T,{}", here.join("order.ld").display());
    for argument in [packed, unwinder, order] {
        if makes_programs(&argument, &out)? {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
    Ok(())
}

/// Whether a program that is linked with this argument runs.
fn makes_programs(argument: &str, out: &Path) -> io::Result<bool> {
    let (source, program) = (out.join("trial.rs"), out.join("trial"));
    fs::write(&source, "fn main() {}\n")?;
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg(format!("-Clink-arg={argument}")).arg(&source).arg("-o").arg(&program);
    let is_linked = rustc.output()?.status.success();
    Ok(is_linked && Command::new(&program).output().is_ok_and(|run| run.status.success()))
}
