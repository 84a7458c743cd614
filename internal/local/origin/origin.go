// Package origin refuses requests that web sites send, through a browser, to servers
// for this machine. These servers have no login, and a browser on this machine sends
// what any site asks it to send: it hides only the answer from the site.
//
// Three headers show where a request comes from. Scripts cannot set them.
//
//   - Sec-Fetch-Site, of browsers since 2023, for servers on loopback addresses;
//   - Origin, of all browsers, for all methods but GET and HEAD;
//   - Host, the name in the URL. A site can let its own name resolve to this machine,
//     so that its scripts may read the answers (DNS rebinding). Then only the name
//     shows it.
//
// Programs, such as tracers and curl, send neither Sec-Fetch-Site nor Origin.
package origin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Pages protects pages and their API. It refuses requests of other sites, except
// links to pages, and all requests to a host that is not an IP address, localhost or
// one of hosts.
func Pages(hosts []string, next http.Handler) http.Handler {
	return guard(next, func(r *http.Request) string {
		if !known(r.Host, hosts) {
			return fmt.Sprintf("host %q is not allowed: use an IP address or localhost, or add the name to localagent -pages-host", r.Host)
		}
		if isLink(r) {
			return ""
		}
		return foreign(r)
	})
}

// Intake protects a server for programs. It refuses requests of other sites. Programs
// may use any host name, such as the name of a container; browsers must use an IP
// address, localhost or one of hosts.
func Intake(hosts []string, next http.Handler) http.Handler {
	return guard(next, func(r *http.Request) string {
		byBrowser := r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
		if byBrowser && !known(r.Host, hosts) {
			return fmt.Sprintf("host %q is not allowed in a browser: use an IP address or localhost", r.Host)
		}
		return foreign(r)
	})
}

// guard answers with status 403 if refusal returns a reason.
func guard(next http.Handler, refusal func(*http.Request) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// No page of another site may embed an answer.
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		if reason := refusal(r); reason != "" {
			http.Error(w, reason, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign returns why a request is of another site, or "". Another port of the same
// host is another origin too: any program on this machine may have pages there.
func foreign(r *http.Request) string {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "" && site != "same-origin" && site != "none" { // none: typed, or a bookmark
			return fmt.Sprintf("requests from other sites are not allowed: Sec-Fetch-Site is %q", site)
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin == "" {
			continue
		}
		if u, err := url.Parse(origin); err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return fmt.Sprintf("requests from other sites are not allowed: Origin is %q, and the host is %q", origin, r.Host)
		}
	}
	return ""
}

// isLink reports whether a browser follows a link, in a tab of its own. The site with
// the link does not see the page.
func isLink(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && (dest == "" || dest == "document") &&
		r.Header.Get("Origin") == ""
}

// known reports whether a host is an IP address, localhost or one of hosts. No site
// can make an address its own name.
func known(host string, hosts []string) bool {
	name := (&url.URL{Host: host}).Hostname()
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(hosts, name)
}

// Named returns hosts and the host of addr, the address that a server listens on.
func Named(hosts []string, addr string) []string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return hosts
	}
	return append(slices.Clip(hosts), strings.ToLower(host))
}
