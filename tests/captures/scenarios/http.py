"""HTTP/1 between curl and nginx, and what curl does not send."""

import services

SERVER = """
    server {{
        listen 80; listen [::]:80;
        root {folder};
        absolute_redirect off;
        location = /old {{ return 301 /page.html; }}
        location = /private {{ auth_basic "staff"; auth_basic_user_file {folder}/users; }}
        location = /form {{ return 201 "created"; }}
        location = /teapot {{ return 418 "short and stout"; }}
    }}
"""

CLIENT = """set -e
get() { curl -sS "$@" >/dev/null; }
get http://192.0.2.2/page.html http://192.0.2.2/style.css http://192.0.2.2/none
get --compressed -e http://www.example.org/ -b 'seen=yes; lang=en' http://192.0.2.2/style.css
get -L -H 'Host: www.example.org' 'http://[2001:db8::2]/old'
get -I http://192.0.2.2/page.html
get -r 100-199 http://192.0.2.2/page.html
get --http1.0 http://192.0.2.2/page.html
get -u alice:wonderland http://192.0.2.2/private
get -d 'name=alice&subject=hello' http://192.0.2.2/form
get -T page.html -H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue' http://192.0.2.2/form
get -X DELETE -x http://192.0.2.2:80 http://www.example.com/teapot
get -p -x http://192.0.2.2:80 http://www.example.com/ || true
printf 'GET /page.html HTTP/1.1\\r\\nHost: a\\r\\n\\r\\nHEAD /style.css HTTP/1.1\\r\\nHost: b\\r\\n\\r\\nBREW / HTTP/1.1\\r\\n\\r\\n' |
    nc -q 2 192.0.2.2 80 >/dev/null
"""


def record(lab):
    alice, bob = lab.pair()
    page = "<!doctype html><title>A page</title>" + "<p>Some text.</p>\n" * 300
    for host in (alice, bob):
        host.file("page.html", page)
    bob.file("style.css", "body { margin: 0 }\n" * 200)
    bob.file("users", "alice:{PLAIN}wonderland\n")
    services.nginx(bob, SERVER.format(folder=bob.folder), 80)
    with lab.capture(alice, "eth0", "http.pcap", "GET in a connection kept alive, compressed, with cookies, a redirect over "
                     "IPv6, HEAD, a range, HTTP/1.0, Basic credentials, a form, chunks after 100 Continue, a proxy's "
                     "request, CONNECT refused, three requests at once", "curl", "nginx-light", "netcat-openbsd"):
        alice.run(CLIENT)
