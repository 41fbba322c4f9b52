// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes the sample biobank on a server: cargo run --release -p mysql-plugin-tests --bin biobank -- --socket /run/mysqld/mysqld.sock --scale 0.1

use clap::Parser;
use keyringctl::server::{ConnectOptions, Session};
use mysql::OptsBuilder;
use mysql_plugin_tests::biobank::{Biobank, PLANTED, planted};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Make the sample biobank on a MySQL server: some 150 tables, 2 GB at scale 1
#[derive(Parser)]
struct Args {
    /// The server's socket
    #[arg(long, required_unless_present = "names")]
    socket: Option<PathBuf>,
    /// The account; its password comes from MYSQL_PWD
    #[arg(long, default_value = "root")]
    user: String,
    /// 1 makes 2 GB
    #[arg(long, default_value_t = 0.01)]
    scale: f64,
    /// Another seed makes other rows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The name of the schema, which must not be there yet
    #[arg(long, default_value = "biobank")]
    schema: String,
    /// Threads that fill tables
    #[arg(long, default_value_t = 4)]
    threads: usize,
    /// Print the planted names, and make nothing
    #[arg(long)]
    names: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.names {
        (1..=PLANTED).for_each(|number| println!("{}", planted(number)));
        return ExitCode::SUCCESS;
    }
    match make(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("biobank: {e}");
            ExitCode::FAILURE
        }
    }
}

fn make(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let biobank = Biobank { schema: args.schema.clone(), scale: args.scale, seed: args.seed };
    let socket = args.socket.as_ref().map(|s| s.display().to_string());
    let connect = || {
        let options = OptsBuilder::new()
            .socket(socket.clone())
            .user(Some(args.user.clone()))
            .pass(std::env::var("MYSQL_PWD").ok());
        mysql::Conn::new(options)
    };
    let began = Instant::now();
    biobank.make(connect, args.threads)?;
    let mut session = Session::connect(&ConnectOptions {
        user: Some(args.user.clone()),
        password: std::env::var("MYSQL_PWD").ok().map(Into::into),
        socket: args.socket.clone(),
        ..ConnectOptions::default()
    })?;
    let (tables, bytes): (u64, u64) = session
        .first(&format!(
            "SELECT COUNT(*), CAST(SUM(DATA_LENGTH + INDEX_LENGTH) AS UNSIGNED) FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = '{}' AND TABLE_TYPE = 'BASE TABLE'",
            args.schema
        ))?
        .unwrap_or_default();
    println!("{tables} tables, {} MB, in {} s", bytes / 1_000_000, began.elapsed().as_secs());
    Ok(())
}
