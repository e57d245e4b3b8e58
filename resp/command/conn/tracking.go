package conn

import (
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// Tracking is client-side caching as CLIENT TRACKING and its kin steer it. The session says how a
// client tracks.
type Tracking interface {
	// Track begins or changes the caller's tracking, and adds prefixes to those it has.
	Track(c *command.Ctx, prefixes []string)
	Untrack(c *command.Ctx)
	TrackedPrefixes(c *command.Ctx) []string
}

const (
	errRedirectTwice   resp.Error = "ERR A client can only redirect to a single other client"
	errRedirectNobody  resp.Error = "ERR The client ID you want redirect to does not exist"
	errPrefixBroadcast resp.Error = "ERR PREFIX option requires BCAST mode to be enabled"
	errSwitchBroadcast resp.Error = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	errOptBroadcast    resp.Error = "ERR OPTIN and OPTOUT are not compatible with BCAST"
	errOptBoth         resp.Error = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	errSwitchOpt       resp.Error = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	errCachingOff      resp.Error = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	errCachingYes      resp.Error = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	errCachingNo       resp.Error = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

// trackingOptions are the words behind ON or OFF.
type trackingOptions struct {
	modes    session.Flags
	redirect int64
	prefixes []string
}

func (f *family) tracking(c *command.Ctx) {
	o, err := f.parseTracking(c.Argv[3:])
	if err == "" {
		switch {
		case command.Is(c.Argv[2], "ON"):
			err = f.track(c, o)
		case command.Is(c.Argv[2], "OFF"):
			f.Tracking.Untrack(c)
		default:
			err = resp.ErrSyntax
		}
	}
	if err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

var trackingModes = map[string]session.Flags{
	"BCAST": session.TrackBroadcast, "OPTIN": session.TrackOptIn, "OPTOUT": session.TrackOptOut, "NOLOOP": session.TrackNoLoop,
}

func (f *family) parseTracking(words [][]byte) (o trackingOptions, err resp.Error) {
	for ; len(words) > 0; words = words[1:] {
		word := strings.ToUpper(string(words[0]))
		mode, isMode := trackingModes[word]
		switch {
		case isMode:
			o.modes |= mode
		case word == "REDIRECT" && len(words) > 1:
			if o.redirect != 0 {
				return o, errRedirectTwice
			}
			id, ok := parseInt(words[1])
			if !ok {
				return o, resp.ErrNotInteger
			}
			var info Info
			if !f.Clients.Get(id, &info) {
				return o, errRedirectNobody
			}
			o.redirect, words = id, words[1:]
		case word == "PREFIX" && len(words) > 1:
			o.prefixes, words = append(o.prefixes, string(words[1])), words[1:]
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, ""
}

func (f *family) track(c *command.Ctx, o trackingOptions) resp.Error {
	s := c.Sess
	broadcast := o.modes&session.TrackBroadcast != 0
	opt := o.modes & (session.TrackOptIn | session.TrackOptOut)
	switch {
	case !broadcast && len(o.prefixes) > 0:
		return errPrefixBroadcast
	case s.Has(session.Tracking) && broadcast != s.Has(session.TrackBroadcast):
		return errSwitchBroadcast
	case broadcast && opt != 0:
		return errOptBroadcast
	case opt == session.TrackOptIn|session.TrackOptOut:
		return errOptBoth
	case opt == session.TrackOptIn && s.Has(session.TrackOptOut), opt == session.TrackOptOut && s.Has(session.TrackOptIn):
		return errSwitchOpt
	}
	if broadcast {
		if err := collision(o.prefixes, f.Tracking.TrackedPrefixes(c)); err != "" {
			return err
		}
		if len(o.prefixes) == 0 {
			o.prefixes = []string{""}
		}
	}
	s.Clear(session.AllTracking &^ (session.Tracking | session.TrackCaching))
	s.Set(o.modes)
	s.SetRedirect(o.redirect)
	f.Tracking.Track(c, o.prefixes)
	return ""
}

// collision refuses prefixes of which a key could have two.
func collision(prefixes, existing []string) resp.Error {
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	for i, p := range prefixes {
		for _, have := range existing {
			if overlap(p, have) {
				return resp.Errorf("ERR Prefix '%s' overlaps with an existing prefix '%s'. Prefixes for a single client must not overlap.", p, have)
			}
		}
		for _, other := range prefixes[i+1:] {
			if overlap(p, other) {
				return resp.Errorf("ERR Prefix '%s' overlaps with another provided prefix '%s'. Prefixes for a single client must not overlap.", p, other)
			}
		}
	}
	return ""
}

func caching(c *command.Ctx) {
	s := c.Sess
	needed, refusal := session.TrackOptIn, errCachingYes
	switch {
	case !s.Has(session.Tracking):
		c.Fail(errCachingOff)
		return
	case command.Is(c.Argv[2], "YES"):
	case command.Is(c.Argv[2], "NO"):
		needed, refusal = session.TrackOptOut, errCachingNo
	default:
		c.Fail(resp.ErrSyntax)
		return
	}
	if !s.Has(needed) {
		c.Fail(refusal)
		return
	}
	s.Set(session.TrackCaching)
	c.Out.OK()
}

// redirect is the redir field: -1 for a client that does not track.
func redirect(s *session.Session) int64 {
	if s.Has(session.Tracking) {
		return s.Redirect()
	}
	return -1
}

func getRedir(c *command.Ctx) { c.Out.Int(redirect(c.Sess)) }

func (f *family) trackingInfo(c *command.Ctx) {
	s := c.Sess
	flags := []string{"off"}
	if s.Has(session.Tracking) {
		flags[0] = "on"
	}
	add := func(flag session.Flags, names ...string) {
		if s.Has(flag) {
			flags = append(flags, names...)
		}
	}
	add(session.TrackBroadcast, "bcast")
	add(session.TrackOptIn, "optin")
	add(session.TrackOptIn|session.TrackCaching, "caching-yes")
	add(session.TrackOptOut, "optout")
	add(session.TrackOptOut|session.TrackCaching, "caching-no")
	add(session.TrackNoLoop, "noloop")
	add(session.TrackBroken, "broken_redirect")
	c.Out.Map(3)
	c.Out.BulkString("flags")
	c.Out.Set(len(flags))
	for _, name := range flags {
		c.Out.BulkString(name)
	}
	c.Out.BulkString("redirect")
	c.Out.Int(redirect(s))
	prefixes := f.Tracking.TrackedPrefixes(c)
	c.Out.BulkString("prefixes")
	c.Out.Array(len(prefixes))
	for _, p := range prefixes {
		c.Out.BulkString(p)
	}
}
