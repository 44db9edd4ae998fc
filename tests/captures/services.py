"""The servers that several scenarios need, with the least configuration that makes them speak."""

from pathlib import Path

from lab import wait_until

HERE = Path(__file__).resolve().parent


def wire(host, *arguments):
    """A long cable, see wire.py."""
    process = host.start(["python3", str(HERE / "wire.py"), *arguments])
    wait_until(lambda: "up" in process.output(), "wire.py does not start", process.output)


def knot(host, zones, listen, modules="zone:", options=None):
    """Authoritative DNS on port 53. `listen` is a list in Knot's own form, `options` are lines for a zone."""
    entries = ""
    for name, zone in zones.items():
        entries += f"  - domain: {name}\n    file: {host.file(f'{name}.zone', zone)}\n{(options or {}).get(name, '')}"
    config = host.file("knot.conf", f"""
server:
    listen: [ {listen} ]
    rundir: /run
    edns-client-subnet: on
    udp-max-payload: 4096
    identity: ""
    version: ""
    nsid: 0x6e73312e6578616d706c65
database:
    storage: /var/lib
{modules}
{entries}""")
    host.serve(["knotd", "-c", str(config)], "udp", 53)
    host.serve(["true"], "tcp", 53)


def certificate(host, names):
    """A self-signed certificate in `tls.crt` and `tls.key`; gives the path of the certificate."""
    alternatives = ",".join(f"DNS:{name}" for name in names)
    host.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
              "-days", "3650", "-subj", f"/O=Example Organisation/CN={names[0]}", "-addext",
              f"subjectAltName={alternatives}", "-keyout", "tls.key", "-out", "tls.crt"])
    return host.folder / "tls.crt"


def nginx(host, servers, *ports):
    config = host.file("nginx.conf", f"""
daemon off;
user root;
pid /run/nginx.pid;
error_log stderr;
worker_processes 1;
events {{}}
http {{
    access_log off;
    types {{ text/html html; text/css css; image/jpeg jpg; text/plain txt; }}
    client_body_temp_path /run/nginx1; proxy_temp_path /run/nginx2; fastcgi_temp_path /run/nginx3;
    scgi_temp_path /run/nginx4; uwsgi_temp_path /run/nginx5;
    gzip on;
    gzip_types text/css;
    {servers}
}}""")
    host.serve(["nginx", "-e", "stderr", "-c", str(config)], "tcp", *ports)


def ntpd(host, *peers):
    """A server that trusts itself ('orphan'), or asks `peers`. It may not set the machine's clock."""
    sources = "".join(f"server {peer} iburst minpoll 3\n" for peer in peers) or "tos orphan 3 orphanwait 1\n"
    config = host.file("ntp.conf", f"{sources}restrict default nomodify\n"
                       "restrict 192.0.2.0 mask 255.255.255.0\nrestrict 2001:db8:: mask ffff:ffff::\n")
    host.serve(["setpriv", "--bounding-set=-sys_time", "ntpd", "-n", "-c", str(config)], "udp", 123)


def sshd(host):
    for name in ("host_key", "user_key"):
        host.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "example", "-f", str(host.folder / name)])
    host.run("cp user_key.pub authorized_keys")
    config = host.file("sshd_config", f"""
HostKey {host.folder}/host_key
AuthorizedKeysFile {host.folder}/authorized_keys
StrictModes no
PermitRootLogin yes
UsePAM no
DebianBanner no
Subsystem sftp internal-sftp
""")
    host.serve(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], "tcp", 22)


def ssh_client(server, name):
    """A client's configuration to reach `server`, which need not run yet."""
    return server.file("ssh_config", f"""
Host {name}
    User root
    IdentityFile {server.folder}/user_key
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
""")


def tftpd(host, files):
    for name, text in files.items():
        host.file(f"tftp/{name}", text)
    (host.folder / "tftp").chmod(0o777)
    host.serve(["atftpd", "--daemon", "--no-fork", "--user", "root.root", str(host.folder / "tftp")], "udp", 69)


def nmbd(host, name):
    config = host.file("smb.conf", f"""
[global]
netbios name = {name}
workgroup = OFFICE
server string = file server
server role = standalone server
lock directory = /run/samba
state directory = /run/samba
cache directory = /run/samba
private dir = /run/samba
pid directory = /run/samba
log file = /dev/stdout
""")
    host.run("mkdir -p /run/samba/nmbd /var/log/samba")
    return host.serve(["nmbd", "--foreground", "--no-process-group", "-s", str(config)], "udp", 137)


def snmpd(host, description, extra=""):
    config = host.file("snmpd.conf", f"""
agentaddress udp:161,udp6:161
sysdescr {description}
syslocation floor 2
syscontact it@example.org
sysobjectid 1.3.6.1.4.1.32473.1
rocommunity public
rocommunity6 public
rwcommunity private
{extra}""")
    host.run("mkdir -p /var/lib/snmp")
    host.serve(["snmpd", "-f", "-Lo", "-C", "-c", str(config)], "udp", 161)


def avahi(host, files):
    """mDNS. Services and the D-Bus socket, by which avahi-browse asks, are the host's own."""
    for name in ("avahi-daemon.conf", *files):
        host.file(f"avahi/{'' if name.endswith('conf') else 'services/'}{name}", files.get(name, AVAHI))
    host.run("mkdir -p /run/dbus && mount --bind avahi /etc/avahi && dbus-daemon --system --fork --nosyslog")
    return host.start(["avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits"])


AVAHI = """[server]
use-ipv4=yes
use-ipv6=yes
[publish]
publish-hinfo=no
publish-workstation=no
"""
