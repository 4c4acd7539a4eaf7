//! The processes side by side: starting them, what they used, ending them.

use std::fs;
use std::io;
use std::iter::repeat_n;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server under test, or the provider. Ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A polite end first: nginx's workers end with their master, and the journal is closed.
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().ok();
        let until = Instant::now() + Duration::from_secs(15);
        while Instant::now() < until {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Server {
    /// Starts `command`, which listens at `address`; what it says goes into `log`.
    pub fn start(mut command: Command, address: SocketAddr, log: &Path) -> io::Result<Self> {
        let out = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .map_err(|err| io::Error::other(format!("{:?}: {err}", command.get_program())))?;
        Ok(Self { child, address })
    }

    /// Waits until it takes connections.
    pub fn ready(self, within: Duration) -> io::Result<Self> {
        let until = Instant::now() + within;
        while std::net::TcpStream::connect(self.address).is_err() {
            if Instant::now() > until {
                return Err(io::Error::other(format!(
                    "nobody listens at {}",
                    self.address
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(self)
    }

    fn processes(&self) -> Vec<u32> {
        with_children(self.child.id())
    }

    /// CPU time of all its threads and of its child processes, in microseconds, by the scheduler's own account.
    pub fn cpu_micros(&self) -> f64 {
        cpu_micros(&self.processes())
    }

    /// Open files and sockets of the process.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    /// Resident memory of it and its child processes, in KiB.
    pub fn rss_kib(&self) -> f64 {
        let of = |id: u32| -> Option<f64> {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        self.processes().into_iter().filter_map(of).sum()
    }
}

/// A process and all below it.
fn with_children(process: u32) -> Vec<u32> {
    let mut all = vec![process];
    let mut at = 0;
    while let Some(id) = all.get(at).copied() {
        for task in tasks(id) {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            all.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            );
        }
        at += 1;
    }
    all
}

fn cpu_micros(processes: &[u32]) -> f64 {
    let of = |task: PathBuf| -> Option<f64> {
        let text = fs::read_to_string(task.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let nanos: f64 = processes
        .iter()
        .flat_map(|id| tasks(*id))
        .filter_map(of)
        .sum();
    nanos / 1e3
}

/// The threads of a process.
fn tasks(process: u32) -> Vec<PathBuf> {
    fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| task.path())
        .collect()
}

/// CPU time of the PostgreSQL server that this program runs, in microseconds.
pub fn postgres_cpu_micros() -> f64 {
    let is_server = |id: &u32| {
        fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "postgres")
    };
    let servers: Vec<u32> = with_children(std::process::id())
        .into_iter()
        .filter(is_server)
        .collect();
    cpu_micros(&servers)
}

/// A port that nobody has right now.
pub fn free_address() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.local_addr()
}

/// The provider: this program itself.
pub fn provider(dir: &Path) -> io::Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("mock").arg(address.port().to_string());
    Server::start(command, address, &dir.join("mock.log"))?.ready(Duration::from_secs(5))
}

/// A plain reverse proxy: nginx with as many workers as cores, keep-alive on both sides, no log. With `buffering` off, as
/// streams need it.
pub fn nginx(dir: &Path, provider: SocketAddr, buffering: bool) -> io::Result<Server> {
    let address = free_address()?;
    let prefix = dir.join(if buffering { "nginx" } else { "nginx-streams" });
    fs::create_dir_all(&prefix)?;
    let shown = prefix.display();
    let buffering = if buffering { "on" } else { "off" };
    let config = format!(
        "daemon off; worker_processes auto; pid {shown}/pid; error_log {shown}/error.log; worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 16m; client_body_buffer_size 2m;
  client_body_temp_path {shown}/body; proxy_temp_path {shown}/proxy; fastcgi_temp_path {shown}/f; uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s;
  proxy_buffering {buffering}; proxy_read_timeout 120s;
  upstream provider {{ server {provider}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen {address} backlog=8192;
    location / {{ proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_pass http://provider; }}
  }}
}}
"
    );
    let path = prefix.join("nginx.conf");
    fs::write(&path, config)?;
    let program = find_nginx().ok_or_else(|| {
        io::Error::other("nginx is needed to compare with (Debian: apt-get install nginx-light)")
    })?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&prefix).arg("-c").arg(&path);
    Server::start(command, address, &prefix.join("log"))?.ready(Duration::from_secs(5))
}

fn find_nginx() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("nginx"))
        .find(|program| program.exists())
}

/// The master key of every gateway here.
pub const MASTER_KEY: &str = "sk-bench-0123456789abcdef";

/// The gateway, over `models`: names with the provider behind them, `openai` or `anthropic`, and the path segment that says
/// how the provider answers.
pub fn trunkline(
    dir: &Path,
    binary: &Path,
    provider: SocketAddr,
    models: &[Model<'_>],
) -> io::Result<Server> {
    trunkline_of(dir, binary, provider, models, 1, "")
}

/// The same with its books in the PostgreSQL database at `url`.
pub fn trunkline_on_postgres(
    dir: &Path,
    binary: &Path,
    provider: SocketAddr,
    models: &[Model<'_>],
    url: &str,
) -> io::Result<Server> {
    let home = Home::new(dir, binary, provider, models, 1, "")?;
    home.with_books_at(url).start()
}

/// The same with `copies` deployments of each model, and one more line of `general_settings`.
pub fn trunkline_of(
    dir: &Path,
    binary: &Path,
    provider: SocketAddr,
    models: &[Model<'_>],
    copies: usize,
    settings: &str,
) -> io::Result<Server> {
    Home::new(dir, binary, provider, models, copies, settings)?.start()
}

/// A gateway's config and data, which outlive its process.
pub struct Home {
    data: PathBuf,
    binary: PathBuf,
    /// Its address.
    database: String,
}

impl Home {
    /// With empty books.
    pub fn new(
        dir: &Path,
        binary: &Path,
        provider: SocketAddr,
        models: &[Model<'_>],
        copies: usize,
        settings: &str,
    ) -> io::Result<Self> {
        let data = dir.join(format!("trunkline-{}", free_address()?.port()));
        fs::create_dir_all(&data)?;
        let config = format!(
            "{}general_settings:\n  master_key: {MASTER_KEY}\n  {settings}\n",
            model_list(provider, models, copies),
        );
        fs::write(data.join("config.yaml"), config)?;
        Ok(Self {
            database: format!("sqlite://{}/bench.db", data.display()),
            data,
            binary: binary.to_owned(),
        })
    }

    /// With its books in that database instead.
    fn with_books_at(self, url: &str) -> Self {
        Self {
            database: url.to_owned(),
            ..self
        }
    }

    pub fn start(&self) -> io::Result<Server> {
        let address = free_address()?;
        let data = &self.data;
        let mut command = Command::new(&self.binary);
        command
            .current_dir(data)
            .env("TRUNKLINE_DATA_DIR", data)
            .env("DATABASE_URL", &self.database)
            .arg("--config")
            .arg(data.join("config.yaml"))
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        Server::start(command, address, &data.join("log"))
    }
}

/// The peer, from a virtual environment.
pub fn litellm(
    dir: &Path,
    program: &Path,
    provider: SocketAddr,
    models: &[Model<'_>],
) -> io::Result<Server> {
    let address = free_address()?;
    let config = format!(
        "{}general_settings:\n  master_key: {MASTER_KEY}\n",
        model_list(provider, models, 1)
    );
    let path = dir.join("litellm.yaml");
    fs::write(&path, config)?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut command = Command::new(program);
    command
        .arg("--config")
        .arg(path)
        .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--num_workers", &cores.to_string()])
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR");
    Server::start(command, address, &dir.join("litellm.log"))?.ready(Duration::from_secs(300))
}

/// One model of the gateways' config.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    pub name: &'a str,
    pub dialect: &'a str,
    pub behaviour: &'a str,
}

/// Each of the models `copies` times.
fn model_list(provider: SocketAddr, models: &[Model<'_>], copies: usize) -> String {
    let mut text = "model_list:\n".to_owned();
    let mut id = 0;
    for Model {
        name,
        dialect,
        behaviour,
    } in models.iter().flat_map(|model| repeat_n(model, copies))
    {
        let (model, base) = match *dialect {
            "anthropic" => ("anthropic/claude-sonnet-4-5-20250929", ""),
            _ => ("openai/gpt-4o-mini", "/v1"),
        };
        text += &format!(
            "  - model_name: {name}\n    litellm_params: {{model: {model}, api_base: \"http://{provider}/{behaviour}{base}\", api_key: sk-provider}}\n    model_info: {{id: d{id}}}\n"
        );
        id += 1;
    }
    text
}
