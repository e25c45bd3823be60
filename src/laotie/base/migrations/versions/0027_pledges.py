"""Guarantees, deposits and what was paid from them."""

from laotie.base.migrations import run

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run(
        """
        CREATE SCHEMA trust;

        -- Terms are never edited: orders name the row that they were placed under.
        CREATE TABLE trust.pledge (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            currency text NOT NULL,
            promises jsonb NOT NULL,
            digest bytea NOT NULL,
            made_by uuid NOT NULL,
            made_at timestamptz NOT NULL
        );
        CREATE INDEX pledge_of_shop ON trust.pledge (shop_id, id);

        CREATE FUNCTION trust.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a pledge is never changed; new terms are a new row';
        END $$;
        CREATE TRIGGER pledge_is_final BEFORE UPDATE OR DELETE ON trust.pledge
            FOR EACH ROW EXECUTE FUNCTION trust.refuse_change();

        -- What a deposit must hold and what a buyer may get in a month, in whole units (yuan, dollars, yen); the row of
        -- the currency, else of XXX ("no currency", ISO 4217). A new rule is a new version.
        CREATE TABLE trust.rule (
            version integer NOT NULL,
            currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
            terms jsonb NOT NULL,
            valid_from timestamptz NOT NULL,
            PRIMARY KEY (version, currency)
        );
        INSERT INTO trust.rule (version, currency, terms, valid_from) VALUES
            (1, 'CNY', '{"base": 1000, "grace_h": 72, "tail_days": 90,
                "required": {"refund_without_return": 500, "return_freight": 300, "authentic_ninefold": 2000,
                             "seven_days": 0},
                "monthly": {"refund_without_return": 500, "return_freight": 200, "authentic_ninefold": 50000,
                            "seven_days": 500}}', '2020-01-01T00:00:00Z'),
            (1, 'JPY', '{"base": 20000, "grace_h": 72, "tail_days": 90,
                "required": {"refund_without_return": 10000, "return_freight": 6000, "authentic_ninefold": 40000,
                             "seven_days": 0},
                "monthly": {"refund_without_return": 10000, "return_freight": 4000, "authentic_ninefold": 1000000,
                            "seven_days": 10000}}', '2020-01-01T00:00:00Z'),
            (1, 'KRW', '{"base": 200000, "grace_h": 72, "tail_days": 90,
                "required": {"refund_without_return": 100000, "return_freight": 60000, "authentic_ninefold": 400000,
                             "seven_days": 0},
                "monthly": {"refund_without_return": 100000, "return_freight": 40000, "authentic_ninefold": 10000000,
                            "seven_days": 100000}}', '2020-01-01T00:00:00Z'),
            (1, 'XXX', '{"base": 200, "grace_h": 72, "tail_days": 90,
                "required": {"refund_without_return": 100, "return_freight": 60, "authentic_ninefold": 400,
                             "seven_days": 0},
                "monthly": {"refund_without_return": 100, "return_freight": 40, "authentic_ninefold": 10000,
                            "seven_days": 100}}', '2020-01-01T00:00:00Z');

        -- A shop's deposit. The money is the ledger's; these sums are what guards it: nothing is paid that is not there.
        -- Whoever moves a deposit holds this row.
        CREATE TABLE trust.deposit (
            shop_id uuid PRIMARY KEY,
            currency text NOT NULL,
            required_amount bigint NOT NULL DEFAULT 0 CHECK (required_amount >= 0),
            rule_version integer NOT NULL DEFAULT 0,
            put_in_amount bigint NOT NULL DEFAULT 0 CHECK (put_in_amount >= 0),
            paid_amount bigint NOT NULL DEFAULT 0 CHECK (paid_amount >= 0),
            taken_back_amount bigint NOT NULL DEFAULT 0 CHECK (taken_back_amount >= 0),
            owed_amount bigint NOT NULL DEFAULT 0 CHECK (owed_amount >= 0),
            short_since timestamptz,
            limited_at timestamptz,
            look_again_at timestamptz,
            opened_at timestamptz NOT NULL,
            CONSTRAINT deposit_not_overspent CHECK (paid_amount + taken_back_amount <= put_in_amount)
        );
        CREATE INDEX deposit_to_look_at ON trust.deposit (look_again_at) WHERE look_again_at IS NOT NULL;
        CREATE INDEX deposit_of_rule ON trust.deposit (rule_version);

        -- What the shop promises, or promised so shortly that the deposit stays.
        CREATE TABLE trust.obligation (
            shop_id uuid NOT NULL REFERENCES trust.deposit (shop_id),
            kind text NOT NULL,
            ends_at timestamptz,
            PRIMARY KEY (shop_id, kind)
        );

        CREATE TABLE trust.movement (
            id uuid PRIMARY KEY,
            shop_id uuid NOT NULL REFERENCES trust.deposit (shop_id),
            amount bigint NOT NULL CHECK (amount <> 0),
            made_by uuid,
            made_at timestamptz NOT NULL
        );
        CREATE INDEX movement_of_shop ON trust.movement (shop_id, id);

        -- A payment that goes on from the shop's wallet into its deposit as soon as it has come.
        CREATE TABLE trust.topup (
            payment_id uuid PRIMARY KEY,
            shop_id uuid NOT NULL,
            made_by uuid NOT NULL,
            made_at timestamptz NOT NULL
        );

        -- `asked_amount` was asked for, `amount` is what the promise and the month allow, `paid_amount` what has gone.
        CREATE TABLE trust.payout (
            id uuid PRIMARY KEY,
            pledge_id uuid NOT NULL REFERENCES trust.pledge (id),
            kind text NOT NULL,
            order_id uuid NOT NULL,
            line_no smallint NOT NULL,
            shop_id uuid NOT NULL REFERENCES trust.deposit (shop_id),
            buyer_id uuid NOT NULL,
            currency text NOT NULL,
            month_on date NOT NULL,
            asked_amount bigint NOT NULL CHECK (asked_amount > 0),
            amount bigint NOT NULL CHECK (amount BETWEEN 0 AND asked_amount),
            paid_amount bigint NOT NULL DEFAULT 0 CHECK (paid_amount BETWEEN 0 AND amount),
            made_at timestamptz NOT NULL
        );
        CREATE INDEX payout_of_shop ON trust.payout (shop_id, id);
        CREATE INDEX payout_owed ON trust.payout (shop_id, made_at, id) WHERE paid_amount < amount;
        CREATE INDEX payout_of_order ON trust.payout (order_id);
        CREATE INDEX payout_of_buyer ON trust.payout (buyer_id, made_at);

        -- What a buyer was granted in a month, by kind; the CHECK is what keeps two payouts at once below the cap.
        CREATE TABLE trust.month (
            buyer_id uuid NOT NULL,
            month_on date NOT NULL,
            kind text NOT NULL,
            currency text NOT NULL,
            granted_amount bigint NOT NULL DEFAULT 0,
            cap_amount bigint NOT NULL,
            PRIMARY KEY (buyer_id, month_on, kind, currency),
            CONSTRAINT month_within_cap CHECK (granted_amount BETWEEN 0 AND cap_amount)
        );

        CREATE TABLE trust.suspicion (
            buyer_id uuid NOT NULL,
            month_on date NOT NULL,
            signal text NOT NULL,
            facts jsonb NOT NULL,
            told_at timestamptz NOT NULL,
            PRIMARY KEY (buyer_id, month_on, signal)
        );

        -- A limited shop sells nothing new; its orders go on.
        ALTER TABLE catalog.shop DROP CONSTRAINT shop_state_check;
        ALTER TABLE catalog.shop ADD CONSTRAINT shop_state_check CHECK (state IN ('open', 'limited', 'closed'));
        """
    )
