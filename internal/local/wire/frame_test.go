package wire

import "testing"

func TestTopFrame(t *testing.T) {
	for name, test := range map[string]struct{ stack, want string }{
		"Go":                      {"apmapp/store.wrap\n\t/src/store/errors.go:10\napmapp/store.(*Store).Latest\n\t/src/store/visits.go:5", "apmapp/store.wrap"},
		"Go, a library above":     {"github.com/go-chi/chi/v5.(*Mux).ServeHTTP\n\t/root/go/pkg/mod/github.com/go-chi/chi/v5@v5.2.0/mux.go:1\nshop/web.home(0x1, {0x2, 0x3})\n\t/src/web.go:7 +0x1f", "shop/web.home"},
		"Go, a goroutine":         {"goroutine 7 [running]:\nmain.(*server).work(...)\n\t/src/a.go:1", "main.(*server).work"},
		"Go, libraries only":      {"net/http.(*conn).serve\n\t/usr/local/go/src/net/http/server.go:1", "net/http.(*conn).serve"},
		"Node":                    {"TypeError: no\n    at Query.run (/app/node_modules/mysql2/lib/q.js:3:4)\n    at async list (/app/src/list.js:10:5)\n    at node:internal/process:1:1", "async list"},
		"Node without a function": {"Error: x\n    at /app/src/list.js:10:5", "/app/src/list.js:10"},
		"Python":                  {"Traceback (most recent call last):\n  File \"/app/web.py\", line 3, in home\n    rows()\n  File \"/app/db.py\", line 9, in rows\n  File \"/venv/lib/python3.12/site-packages/pymysql/x.py\", line 1, in execute\npymysql.Error: x", "rows"},
		"Java":                    {"java.lang.IllegalStateException: no\n\tat java.base/java.util.Optional.get(Optional.java:1)\n\tat org.springframework.web.X.y(X.java:2)\n\tat com.shop.Cart.total(Cart.java:17)", "com.shop.Cart.total"},
		".NET":                    {"System.Exception: no\n   at System.Data.X.Y()\n   at Shop.Cart.Total(Int32 id) in /src/Cart.cs:line 17", "Shop.Cart.Total"},
		"Ruby":                    {"/usr/lib/ruby/gems/3.2/gems/mysql2/lib/x.rb:3:in `query'\n/app/cart.rb:7:in `total'", "total"},
		"PHP":                     {"#0 /app/vendor/x/y.php(3): X->y()\n#1 /app/src/cart.php(7): Cart->total()", "Cart->total()"},
		"Go, internal packages":   {"shop/internal/store.(*Store).Latest\n\t/src/internal/store/visits.go:5\nmain.main\n\t/src/main.go:1", "shop/internal/store.(*Store).Latest"},
		"Go, -trimpath":           {"internal/poll.(*FD).Read\n\tinternal/poll/fd_unix.go:1\nnet/http.(*conn).serve\n\tnet/http/server.go:1\nshop/runtime.Run\n\tshop/runtime/run.go:3", "shop/runtime.Run"},
		"Go, an SDK elsewhere":    {"internal/poll.(*FD).Read\n\t/root/sdk/go1.26.0/src/internal/poll/fd_unix.go:1\nmain.main\n\t/src/main.go:1", "main.main"},
		"old Node":                {"Error: x\n    at process._tickCallback (internal/process/next_tick.js:68:7)\n    at list (/app/internal/list.js:1:2)", "list"},
		"Node, async at a place":  {"Error: x\n    at async file:///app/src/list.mjs:10:5", "file:///app/src/list.mjs:10"},
		".NET without files":      {"System.Exception: no\n   at System.Data.X.Y()\n   at Shop.Cart.Total()\n   at Shop.Program.Main(String[] args)", "Shop.Cart.Total"},
		".NET, async and generic": {"   at Shop.Cart.<Total>d__5.MoveNext() in /src/Cart.cs:line 17\n--- End of stack trace from previous location ---\n   at Shop.Cart.Get[T](String k) in /src/Cart.cs:line 3", "Shop.Cart.<Total>d__5.MoveNext"},
		"Ruby of dd-trace":        {"/app/cart.rb:7:in `total': it's 'no' (RuntimeError)\n\tfrom /app/cart.rb:3:in `block in show'", "total"},
		"Ruby 3.4":                {"/app/cart.rb:7:in 'Cart#total': no (RuntimeError)\n\tfrom /app/cart.rb:3:in 'Cart#show'", "Cart#total"},
		"a message":               {"no stack at all", ""},
		"nothing":                 {"", ""},
	} {
		if got := TopFrame(test.stack); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
