//! A page of `docs/readers`, and running what it says.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir_tests::cache;
use weir_tests::process::{Process, Scratch, binary};

use crate::site::Site;

/// How long the commands of a page may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(300);

/// A page's blocks of code, in their order.
pub struct Page {
    name: String,
    blocks: Vec<Block>,
}

/// A block of code: ```` ```language word ````. The word of a shell's block is `install` or missing, that of others the
/// name of the file that the page says to save it as.
#[derive(Clone)]
struct Block {
    section: Option<String>,
    language: String,
    word: String,
    text: String,
}

impl Page {
    pub fn read(name: &str) -> Self {
        let path = harness().join("../../../docs/readers").join(name).with_extension("md");
        let (mut blocks, mut section, mut open): (Vec<Block>, _, Option<Block>) = (Vec::new(), None, None);
        for line in fs::read_to_string(path).unwrap().lines() {
            match (&mut open, line.strip_prefix("```"), line.strip_prefix("## ")) {
                (Some(_), Some(""), _) => blocks.extend(open.take()),
                (Some(block), _, _) => block.text += &format!("{line}\n"),
                (None, Some(info), _) => {
                    let (language, word) = info.split_once(' ').unwrap_or((info, ""));
                    let (language, word) = (language.to_owned(), word.to_owned());
                    open = Some(Block { section: section.clone(), language, word, text: String::new() });
                }
                (None, None, Some(heading)) => section = Some(heading.to_owned()),
                (None, None, None) => {}
            }
        }
        assert!(open.is_none() && !blocks.is_empty(), "docs/readers/{name}.md: a block has no end, or there is none");
        Self { name: name.to_owned(), blocks }
    }

    /// The page with one of its sections alone, and what stands before the first.
    pub fn section(mut self, heading: &str) -> Self {
        assert!(self.blocks.iter().any(|block| block.section.as_deref() == Some(heading)), "{heading}");
        self.blocks.retain(|block| block.section.as_deref().is_none_or(|section| section == heading));
        self
    }

    /// The first word in a block that begins so, up to the next blank, comma or quote.
    pub fn word_with(&self, start: &str) -> String {
        let words = self.blocks.iter().flat_map(|block| block.text.split([' ', ',', '"', '\n']));
        words.into_iter().find(|word| word.starts_with(start)).unwrap().to_owned()
    }

    /// Does what the page says, and gives what that prints.
    pub fn run(&self, site: &Site) -> String {
        let folder = Scratch::new(&self.name);
        symlink(site.lake(), folder.path().join("lake")).unwrap();
        let mut script = "set -euo pipefail\nexec 2>errors\n".to_owned();
        for block in &self.blocks {
            let text = block
                .text
                .replace("localhost:9092", &site.kafka.bootstrap())
                .replace("/var/lib/clickhouse/format_schemas", ".");
            match (block.language.as_str(), block.word.as_str()) {
                ("sh", "") => script += &text,
                ("sh", "install") => self.link_installed(&text, folder.path()),
                (_, "") => {}
                (_, name) => fs::write(folder.path().join(name), text).unwrap(),
            }
        }
        fs::write(folder.path().join("commands"), script).unwrap();
        let mut bash = Command::new("bash");
        bash.arg("commands").current_dir(folder.path());
        // Folders of Weir's programs and of those that stand in for others.
        let weir = binary("weir");
        let others = std::env::var("PATH").unwrap();
        bash.env("PATH", format!("{}:{}:{others}", harness().display(), weir.parent().unwrap().display()));
        bash.env("SPARK_CONF_DIR", spark_settings(folder.path()));
        match self.name.as_str() {
            "flink" => drop(bash.env("FLINK_HOME", flink(folder.path()))),
            "clickhouse" => drop(bash.env("WEIR_CHDB", chdb())),
            _ => {}
        }
        bash.env("XDG_DATA_HOME", folder.path()).env("TMPDIR", folder.path());
        let log = folder.path().join("output");
        let status = Process::start(bash, &log).end_within(LIMIT);
        let printed = fs::read_to_string(&log).unwrap();
        let errors = fs::read_to_string(folder.path().join("errors")).unwrap_or_default();
        assert!(status.success(), "docs/readers/{}.md: {status}\n{printed}\n{errors}", self.name);
        printed
    }

    /// Puts what the commands make into the page's folder; they are run if the cache has no such thing.
    fn link_installed(&self, commands: &str, folder: &Path) {
        let mut hash = DefaultHasher::new();
        commands.hash(&mut hash);
        let installed = cache::folder(&format!("readers-{}-{:016x}", self.name, hash.finish()), |partial| {
            let script = format!("set -euo pipefail\n{commands}");
            cache::run(Command::new("bash").args(["-c", &script]).current_dir(partial));
        });
        for entry in fs::read_dir(installed).unwrap() {
            let entry = entry.unwrap();
            symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
}

/// Programs that stand in for others.
fn harness() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/readers")
}

/// A folder like that of a distribution of Flink: `lib` and `opt` from the package for Python, and the gateway of the SQL
/// client, which that package lacks.
fn flink(folder: &Path) -> PathBuf {
    let version = "2.2.0";
    let installed = cache::folder(&format!("flink-{version}"), |folder| {
        cache::run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(folder));
        let mut pip = Command::new("venv/bin/python");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target", "."]);
        cache::run(pip.arg(format!("apache-flink-libraries=={version}")).current_dir(folder));
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "dependency:copy", "-DoutputDirectory=pyflink/opt"]);
        maven.arg(format!("-Dartifact=org.apache.flink:flink-sql-gateway:{version}"));
        cache::run(maven.current_dir(folder));
    });
    let home = folder.join("flink-home");
    for name in ["bin", "lib", "opt"] {
        fs::create_dir_all(home.join(name)).unwrap();
        for file in fs::read_dir(installed.join("pyflink").join(name)).unwrap().filter(|_| name != "bin") {
            let file = file.unwrap();
            symlink(file.path(), home.join(name).join(file.file_name())).unwrap();
        }
    }
    symlink(harness().join("sql-client.sh"), home.join("bin/sql-client.sh")).unwrap();
    home
}

/// The Python that has ClickHouse.
fn chdb() -> PathBuf {
    let version = "4.4.0";
    let installed = cache::folder(&format!("chdb-{version}"), |folder| {
        cache::run(Command::new("python3").args(["-m", "venv", "."]).current_dir(folder));
        let mut pip = Command::new("bin/python");
        pip.args(["-m", "pip", "install", "--quiet", &format!("chdb=={version}")]);
        cache::run(pip.current_dir(folder));
    });
    installed.join("bin/python")
}

/// Where Spark keeps packages, in the cache and not in the home folder, and what it unpacks.
fn spark_settings(folder: &Path) -> PathBuf {
    let packages = cache::folder("spark-packages", |_| {});
    let conf = folder.join("conf");
    fs::create_dir(&conf).unwrap();
    let settings = format!(
        "spark.jars.ivy {}\nspark.driver.extraJavaOptions -Djava.io.tmpdir={}\n",
        packages.display(),
        folder.display()
    );
    fs::write(conf.join("spark-defaults.conf"), settings).unwrap();
    conf
}
