package viewer

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast: text is readable (WCAG AA: 4.5 to 1), and lines and areas of charts are
// visible (3 to 1) on each ground, light and dark.
func TestContrast(t *testing.T) {
	css, err := files.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, found := strings.Cut(string(css), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("no dark colors")
	}
	dark, _, _ = strings.Cut(dark, "/* elements */")
	colors := map[string]string{}
	for _, scheme := range []struct{ name, css string }{{"light", light}, {"dark", dark}} {
		for _, m := range regexp.MustCompile(`--(\w+): (#[0-9a-f]+);`).FindAllStringSubmatch(scheme.css, -1) {
			colors[m[1]] = m[2]
		}
		for least, names := range map[float64]string{4.5: "text quiet link good warn bad", 3: "c0 c1 c2 c3 c4 c5 c6 c7"} {
			for name := range strings.FieldsSeq(names) {
				for _, ground := range []string{"ground", "panel", "mark"} {
					if least == 3 && ground == "mark" { // no chart is on it
						continue
					}
					if got := contrast(t, colors[name], colors[ground]); got < least {
						t.Errorf("%s: --%s on --%s has a contrast of %.2f, want at least %g", scheme.name, name, ground, got, least)
					}
				}
			}
		}
	}
}

// contrast is the contrast ratio of WCAG.
// https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(color string) float64 {
		hex := strings.TrimPrefix(color, "#")
		if len(hex) == 3 {
			hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
		}
		sum := 0.0
		for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
			n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			v := float64(n) / 255
			if v <= 0.04045 {
				v /= 12.92
			} else {
				v = math.Pow((v+0.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestDesignPage: the page shows every token of the style sheet.
func TestDesignPage(t *testing.T) {
	css, err := files.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	page := fetch(t, New(Config{Store: filled(t)}), "/design")
	if page.Code != http.StatusOK {
		t.Fatal(page.Code)
	}
	for _, m := range regexp.MustCompile(`(--[\w-]+): `).FindAllStringSubmatch(string(css), -1) {
		if name := m[1]; name != "--radius" && name != "--line" && !strings.Contains(page.Body.String(), name+")") {
			t.Errorf("the page does not show %s", name)
		}
	}
}
