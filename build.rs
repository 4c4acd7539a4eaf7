//! `embed_migrations!` reads the SQL at compile time but does not tell cargo so: without this, a migration file that
//! was added or changed is not embedded until the crate is rebuilt for another reason.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=migrations");
}
