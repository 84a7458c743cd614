package checks

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// defaultInterval is the Agent's interval of checks.
const defaultInterval = 15 * time.Second

// decode decodes a YAML file. The error of a file that does not exist is
// fs.ErrNotExist.
func decode(files fs.FS, name string, to any) error {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(content, to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// readHost reads the tags of the host. Without datadog.yaml it has none.
func readHost(files fs.FS, name, env string) (host, error) {
	var main struct {
		Hostname, Env string
		Tags          []string
	}
	if err := decode(files, "datadog.yaml", &main); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return host{}, err
	}
	return host{cmp.Or(main.Hostname, name), cmp.Or(env, main.Env), main.Tags}, nil
}

// Host returns the name of this host and its tags, as the Agent adds them to metrics: those
// of datadog.yaml, and env. files may be nil.
func Host(files fs.FS, env string) (name string, tags []string, err error) {
	own, err := os.Hostname()
	if err != nil {
		return "", nil, fmt.Errorf("find the name of this host: %w", err)
	}
	h := host{name: own, env: env}
	if files != nil {
		if h, err = readHost(files, own, env); err != nil {
			return "", nil, err
		}
	}
	return h.name, h.tagged(nil), nil
}

// instance is one entry of a check's configuration.
type instance struct {
	values   map[string]any
	init     map[string]any // init_config of its file
	interval time.Duration
}

// configuration returns the instances of a check, from conf.d/NAME.yaml and
// conf.d/NAME.d/*.yaml.
func configuration(files fs.FS, name string) ([]instance, error) {
	found, err := fs.Glob(files, path.Join("conf.d", name+".d", "*.yaml"))
	if err != nil {
		return nil, err
	}
	if single := path.Join("conf.d", name+".yaml"); exists(files, single) {
		found = slices.Insert(found, 0, single)
	}
	var all []instance
	for _, file := range found {
		var conf struct {
			InitConfig map[string]any   `yaml:"init_config"`
			Instances  []map[string]any `yaml:"instances"`
		}
		if err := decode(files, file, &conf); err != nil {
			return nil, err
		}
		for _, values := range conf.Instances {
			i := instance{values: nonNil(values), init: nonNil(conf.InitConfig)}
			if i.interval, err = interval(i.values, i.init); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if _, err := json.Marshal(i.values); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			all = append(all, i)
		}
	}
	return all, nil
}

func exists(files fs.FS, name string) bool {
	_, err := fs.Stat(files, name)
	return err == nil
}

func nonNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// longest is the longest interval, in seconds: a day.
const longest = 24 * 60 * 60

// interval returns min_collection_interval of an instance, else that of all instances,
// else the Agent's default.
func interval(values ...map[string]any) (time.Duration, error) {
	for _, of := range values {
		given, is := of["min_collection_interval"]
		if !is {
			continue
		}
		seconds, whole := given.(int)
		if !whole || seconds < 1 || seconds > longest {
			return 0, fmt.Errorf("min_collection_interval must be whole seconds from 1 to %d, got %v", longest, given)
		}
		return time.Duration(seconds) * time.Second, nil
	}
	return defaultInterval, nil
}

// custom returns the checks of checks.d that have a configuration.
func custom(files fs.FS) ([]*check, error) {
	if info, err := fs.Stat(files, "conf.d"); err != nil || !info.IsDir() {
		return nil, errors.New("no directory conf.d; give a directory with the Agent's files, such as deploy/agent")
	}
	sources, err := fs.Glob(files, "checks.d/*.py")
	if err != nil {
		return nil, err
	}
	var all []*check
	for _, file := range sources {
		name := strings.TrimSuffix(path.Base(file), ".py")
		instances, err := configuration(files, name)
		if err != nil {
			return nil, err
		}
		source, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		for _, i := range instances {
			all = append(all, newScript(name, file, string(source), i))
		}
	}
	return all, nil
}

// Valid returns an error that names the file if a configuration is wrong.
func Valid(files fs.FS) error {
	if _, err := readHost(files, "", ""); err != nil {
		return err
	}
	if _, err := custom(files); err != nil {
		return err
	}
	_, err := configuration(files, "mysql")
	return err
}
