//! The official clients: where each comes from, how its program is built, how it is started.
use crate::{install, paths};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// As in reports and behind `--client`.
    pub(crate) name: &'static str,
    language: Language,
}

#[derive(Clone, Copy, Debug)]
enum Language {
    Java(Java),
    Go { folder: &'static str },
    Python,
    Node,
    Rust,
}

#[derive(Clone, Copy, Debug)]
struct Java {
    /// Holds the pom.
    folder: &'static str,
    /// Value of `client.version` where the pom leaves it open.
    version: Option<&'static str>,
    /// Folders with sources, all compiled together.
    sources: &'static [&'static str],
    main: &'static str,
    /// Of its JVM.
    flags: &'static [&'static str],
}

/// Quick to start and small.
const SMALL: &[&str] = &["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// Able to load a server.
const STRONG: &[&str] = &["-Xms1g", "-Xmx1g", "-XX:+UseParallelGC"];
/// Room for all garbage of a window: no collection falls into a measured latency.
const UNPAUSED: &[&str] = &["-Xms3g", "-Xmx3g", "-Xmn2500m", "-XX:+AlwaysPreTouch", "-XX:+UseParallelGC"];

const CLIENTS: [Client; 10] = [
    Client { name: "java-remoting-5.5.0", language: Language::Java(REMOTING_5) },
    Client { name: "java-remoting-4.9.8", language: Language::Java(REMOTING_4) },
    Client { name: "java-grpc", language: Language::Java(GRPC) },
    Client { name: "java-cross", language: Language::Java(CROSS) },
    Client { name: "mqadmin", language: Language::Java(MQADMIN) },
    Client { name: "go-remoting", language: Language::Go { folder: "go-remoting" } },
    Client { name: "go-grpc", language: Language::Go { folder: "go-grpc" } },
    Client { name: "python-grpc", language: Language::Python },
    Client { name: "node-grpc", language: Language::Node },
    Client { name: "rust-grpc", language: Language::Rust },
];

const REMOTING_5: Java = Java {
    folder: "java-remoting",
    version: Some("5.5.0"),
    sources: &["java-kit/src", "java-remoting/src", "java-remoting/src-5"],
    main: "remoting.Main",
    flags: SMALL,
};
const REMOTING_4: Java = Java {
    folder: "java-remoting",
    version: Some("4.9.8"),
    sources: &["java-kit/src", "java-remoting/src", "java-remoting/src-4"],
    main: "remoting.Main",
    flags: SMALL,
};
const MQADMIN: Java = Java {
    folder: "operator",
    version: None,
    sources: &["java-kit/src", "mqadmin/src"],
    main: "mqadmin.Main",
    flags: SMALL,
};
const GRPC: Java = Java {
    folder: "java-grpc",
    version: None,
    sources: &["java-kit/src", "java-grpc/src"],
    main: "grpc.Main",
    flags: SMALL,
};
const CROSS: Java = Java {
    folder: "java-cross",
    version: None,
    sources: &["java-kit/src", "java-cross/src"],
    main: "cross.Main",
    flags: SMALL,
};

/// Not a client under test: the operator's admin client, kept in the same way.
pub(crate) const OPERATOR: Client = Client {
    name: "operator",
    language: Language::Java(Java {
        folder: "operator",
        version: None,
        sources: &["operator/src"],
        main: "operator.Main",
        flags: SMALL,
    }),
};

/// Clients that move from one cluster to another, see `import`.
pub(crate) const MOVERS: Client = Client {
    name: "java-import",
    language: Language::Java(Java {
        folder: "operator",
        version: None,
        sources: &["java-import/src"],
        main: "importing.Main",
        flags: SMALL,
    }),
};

/// The calls of `access`, one program for each protocol.
pub(crate) const ACCESS_REMOTING: Client = Client {
    name: "java-access-remoting",
    language: Language::Java(Java {
        folder: "operator",
        version: None,
        sources: &["java-access/src", "java-access/remoting/src"],
        main: "access.Main",
        flags: SMALL,
    }),
};
pub(crate) const ACCESS_GRPC: Client = Client {
    name: "java-access-grpc",
    language: Language::Java(Java {
        folder: "java-grpc",
        version: None,
        sources: &["java-access/src", "java-access/grpc/src"],
        main: "access.Main",
        flags: SMALL,
    }),
};

/// The original's filter library, asked by `sql`.
pub(crate) const SQL_ORACLE: Client = Client {
    name: "sql-oracle",
    language: Language::Java(Java {
        folder: "sql-oracle",
        version: None,
        sources: &["sql-oracle/src"],
        main: "sql.Main",
        flags: SMALL,
    }),
};

/// The load programs of `versus`, one for each protocol.
pub(crate) const LOAD_REMOTING: Client = Client {
    name: "java-load-remoting",
    language: Language::Java(Java {
        folder: "java-load/remoting",
        version: None,
        sources: &["java-load/src", "java-load/remoting/src"],
        main: "remoting.Main",
        flags: STRONG,
    }),
};
pub(crate) const LOAD_GRPC: Client = Client {
    name: "java-load-grpc",
    language: Language::Java(Java {
        folder: "java-load/grpc",
        version: None,
        sources: &["java-load/src", "java-load/grpc/src"],
        main: "grpc.Main",
        flags: STRONG,
    }),
};

impl Client {
    /// The same program in a JVM that is not to pause while it is measured.
    pub(crate) fn unpaused(self) -> Self {
        match self.language {
            Language::Java(java) => {
                Self { language: Language::Java(Java { flags: UNPAUSED, ..java }), ..self }
            }
            _ => self,
        }
    }
}

/// Clients whose name begins with one of the wanted words, or all of them.
pub(crate) fn chosen(wanted: &[String]) -> Result<Vec<Client>> {
    if let Some(unknown) =
        wanted.iter().find(|word| !CLIENTS.iter().any(|client| client.name.starts_with(*word)))
    {
        let known = CLIENTS.map(|client| client.name).join(", ");
        bail!("no client is called {unknown}; there are {known}");
    }
    let is_wanted =
        |client: &Client| wanted.is_empty() || wanted.iter().any(|word| client.name.starts_with(word));
    Ok(CLIENTS.into_iter().filter(is_wanted).collect())
}

impl Client {
    /// Fetches the library and builds the program, unless that was done for these very sources.
    pub(crate) fn install(&self) -> Result<()> {
        match self.language {
            Language::Java(java) => {
                let libraries = install::java_libraries(java.folder, self.name, java.version)?;
                install::java_program(self.name, java.sources, &libraries)
            }
            Language::Go { folder } => install::go_program(folder),
            Language::Python => install::python_environment("python-grpc"),
            Language::Node => install::node_modules("node-grpc"),
            Language::Rust => install::rust_program("rust-grpc"),
        }
    }

    /// Whether its cases are played again under access control.
    pub(crate) fn signs(&self) -> bool {
        self.name != "java-cross"
    }

    /// Whether it calls as an administrator.
    pub(crate) fn administers(&self) -> bool {
        self.name == "mqadmin"
    }

    /// The command that runs the program; `home` takes the place of the user's home, where clients write logs.
    pub(crate) fn command(&self, home: &Path) -> Command {
        let mut command = match self.language {
            Language::Java(java) => self.java_command(java, home),
            Language::Go { folder } => Command::new(paths::cache(folder).join("program")),
            Language::Python => {
                let folder = paths::e2e().join("python-grpc");
                let mut command = Command::new(folder.join(".venv/bin/python"));
                command.arg("-u").arg(folder.join("main.py"));
                command
            }
            Language::Node => {
                let mut command = Command::new("node");
                command.arg(paths::e2e().join("node-grpc/main.mjs"));
                command
            }
            Language::Rust => Command::new(paths::e2e().join("rust-grpc/target/debug/rust-grpc")),
        };
        // The Go client takes its log folder from an environment variable with Java's name for the home.
        command.current_dir(home).env("HOME", home).env("user.home", home);
        command
    }

    fn java_command(&self, java: Java, home: &Path) -> Command {
        let class_path: [PathBuf; 2] =
            [paths::cache(self.name).join("classes"), paths::cache(self.name).join("lib").join("*")];
        let mut command = Command::new("java");
        command
            .args(java.flags)
            .arg(format!("-Duser.home={}", home.display()))
            .arg("-cp")
            .arg(class_path.map(|path| path.display().to_string()).join(":"))
            .arg(java.main);
        command
    }
}
