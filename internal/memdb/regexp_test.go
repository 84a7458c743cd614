package memdb

import (
	"database/sql"
	"strings"
	"testing"
)

// answers has expressions and what MySQL 9.7 answers. NULL is "-".
var answers = map[string]string{
	`'Michael!' REGEXP '.*'`:                               "1",
	`'new*\n*line' REGEXP 'new\\*.\\*line'`:                "0",
	`'a' REGEXP '^[a-d]'`:                                  "1",
	`NULL REGEXP 'a'`:                                      "-",
	`REGEXP_LIKE('abc', 'ABC', 'i')`:                       "1",
	`REGEXP_LIKE('abc', 'ABC', 'c')`:                       "0",
	`REGEXP_LIKE('fo\nfo', '^fo$', 'm')`:                   "1",
	`REGEXP_LIKE('a\nb', 'a.b')`:                           "0",
	`REGEXP_LIKE('a\nb', 'a.b', 'n')`:                      "1",
	`REGEXP_INSTR('dog cat dog', 'dog')`:                   "1",
	`REGEXP_INSTR('dog cat dog', 'dog', 2)`:                "9",
	`REGEXP_INSTR('dog cat dog', 'dog', 1, 2)`:             "9",
	`REGEXP_INSTR('dog cat dog', 'dog', 1, 3)`:             "0",
	`REGEXP_INSTR('dög cät dög', 'dög', 2, 1, 1)`:          "12",
	`REGEXP_INSTR('aa aaa aaaa', 'a{4}')`:                  "8",
	`REGEXP_SUBSTR('abc def ghi', '[a-z]+')`:               "abc",
	`REGEXP_SUBSTR('abc def ghi', '[a-z]+', 1, 3)`:         "ghi",
	`REGEXP_SUBSTR('abc def ghi', '[a-z]+', 6)`:            "ef",
	`REGEXP_SUBSTR('abc def ghi', '[a-z]+', 1, 4)`:         "-",
	`REGEXP_REPLACE('a b c', 'b', 'X')`:                    "a X c",
	`REGEXP_REPLACE('abc def ghi', '[a-z]+', 'X')`:         "X X X",
	`REGEXP_REPLACE('abc def ghi', '[a-z]+', 'X', 1, 3)`:   "abc def X",
	`REGEXP_REPLACE('abc def ghi', '[a-z]+', 'X', 5)`:      "abc X X",
	`REGEXP_REPLACE('abc def ghi', '([a-z])[a-z]+', '$1')`: "a d g",
	`REGEXP_REPLACE('abc def ghi', '[a-z]+', 'X', 1, 4)`:   "abc def ghi",
	`REGEXP_REPLACE('ö ö', 'ö', 'oe', 2)`:                  "ö oe",
	`REGEXP_REPLACE('abc', '(x)|c', '[$1]')`:               "ab[]",
}

func TestRegularExpressions(t *testing.T) {
	client := open(t)
	for query, want := range answers {
		var got sql.NullString
		if err := client.QueryRow("SELECT " + query).Scan(&got); err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if text := got.String; !got.Valid && want != "-" || got.Valid && text != want {
			t.Errorf("%s is %q (NULL %t), want %q", query, text, !got.Valid, want)
		}
	}
	if _, err := client.Exec(`SELECT 'a' REGEXP '('`); err == nil || !strings.Contains(err.Error(), "invalid") {
		t.Errorf("a wrong pattern: %v", err)
	}
}
